// Layers whose initial weights come from a RandomGenerator, not from LibTorch's global generator. The
// distribution is LibTorch's: U(-1/√fan_in, 1/√fan_in), He et al. 2015 with a = √5. scale_weights() makes it
// U(-gain √3/√fan_in, gain √3/√fan_in), whose standard deviation is gain/√fan_in, with biases of 0.
//
// Parameters are stored contiguously in LibTorch's order of dimensions, whatever memory format the arithmetic
// uses.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/hooked_module.h"

namespace elbo {

// U(-1/√fan_in, 1/√fan_in), of `sizes`. Throws as require_memory() does.
torch::Tensor initial_values(torch::IntArrayRef sizes, int64_t fan_in, RandomGenerator& init);

// Throws a usage Error where training a weight of `sizes` needs more memory than the machine has.
void require_memory(torch::IntArrayRef sizes);

class Linear : public HookedModule {
 public:
  Linear(int64_t in, int64_t out, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x);  // (…, in) → (…, out)
  void scale_weights(double gain);                // once, before training

  struct Parameters {
    torch::Tensor weight, bias;  // (out, in), (out)
  };
  Parameters use() const;  // for functions that compute the layer themselves

 private:
  torch::Tensor weight_, bias_;
};

// A convolution with the same kernel, stride and padding along each of `spatial` dimensions: 2 for images, 3
// for volumes.
class Convolution : public HookedModule {
 public:
  Convolution(int64_t spatial, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
              RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x);  // (b, in, …sides) → (b, out, …sides')
  void scale_weights(double gain);                // once, before training
  void pretty_print(std::ostream& stream) const override;

 private:
  torch::Tensor weight_, bias_;  // (out, in, …kernel), (out)
  int64_t stride_, padding_;
};

class TransposedConvolution : public HookedModule {
 public:
  // output_padding (a number for each spatial dimension): added to one side of the output, as in
  // torch.nn.ConvTranspose2d.
  TransposedConvolution(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                        std::vector<int64_t> output_padding, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x);  // (b, in, …sides') → (b, out, …sides)
  // Once, before training. The fan-in is that of an output: the inputs that it is a sum over.
  void scale_weights(double gain);
  void pretty_print(std::ostream& stream) const override;

 private:
  torch::Tensor weight_, bias_;  // (in, out, …kernel), (out)
  int64_t stride_, padding_;
  std::vector<int64_t> output_padding_;
};

// An elementwise function.
using Activation = torch::Tensor (*)(const torch::Tensor&);

std::vector<std::string> activation_names();
Activation find_activation(const std::string& name);  // throws a usage Error that lists all names
// The gain with which layers keep the size of what passes through them: √2 for functions that halve it (He et
// al. 2015, eq. 10), 1 for those that are nearly linear at 0.
double activation_gain(const std::string& name);

}  // namespace elbo
