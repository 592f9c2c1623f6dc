// The layers that networks are made of. LibTorch's own draw their first weights from the global generator;
// these draw them from the Noise that they are given, with the same distribution: U(-1/√fan_in, 1/√fan_in),
// He et al. 2015 with a = √5.
//
// Parameters are stored contiguously in LibTorch's order of dimensions, whatever layout the arithmetic
// prefers.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/random.h"

namespace elbo {

// U(-1/√fan_in, 1/√fan_in), of `sizes`. Throws a usage Error for a layer that the machine cannot hold.
torch::Tensor initial_values(torch::IntArrayRef sizes, int64_t fan_in, RandomGenerator& init);

// Throws a usage Error where the machine cannot hold so many weights with what training keeps of each.
void require_memory(torch::IntArrayRef sizes);

class Linear : public torch::nn::Module {
 public:
  Linear(int64_t in, int64_t out, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x);  // (…, in) → (…, out)

 private:
  torch::Tensor weight_, bias_;  // (out, in), (out)
};

class Conv2d : public torch::nn::Module {
 public:
  Conv2d(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x);  // (b, in, h, w) → (b, out, h', w')

 private:
  torch::Tensor weight_, bias_;  // (out, in, kernel, kernel), (out)
  int64_t stride_, padding_;
};

class ConvTranspose2d : public torch::nn::Module {
 public:
  // output_padding (rows, columns): which of the sizes that a convolution would map to the input's size is
  // meant.
  ConvTranspose2d(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                  std::array<int64_t, 2> output_padding, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x);  // (b, in, h', w') → (b, out, h, w)

 private:
  torch::Tensor weight_, bias_;  // (in, out, kernel, kernel), (out)
  int64_t stride_, padding_;
  std::array<int64_t, 2> output_padding_;
};

// An elementwise function.
using Activation = torch::Tensor (*)(const torch::Tensor&);

std::vector<std::string> activation_names();
Activation find_activation(const std::string& name);  // throws a usage Error that lists the names

}  // namespace elbo
