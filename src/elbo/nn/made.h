// The masked autoencoder of Germain et al. 2015: a dense network whose output i depends on inputs before i
// alone.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/layers.h"

namespace elbo {

// A dense layer without the connections whose mask is 0.
class MaskedLinear : public torch::nn::Module {
 public:
  MaskedLinear(const torch::Tensor& mask, RandomGenerator& init);  // (out, in) of 0 and 1
  torch::Tensor forward(const torch::Tensor& x);         // (…, in) → (…, out)

 private:
  torch::Tensor weight_, bias_, mask_;
};

// Of `maps` outputs for each of `size` inputs. Every output also depends on all of the context.
class Made : public torch::nn::Module {
 public:
  // hidden: widths of the layers between; none makes it linear.
  Made(int64_t size, int64_t context, int64_t param_channels, const std::vector<int64_t>& hidden, Activation activation,
       RandomGenerator& init);
  // z (n, size), context (n, context) → (n, maps, size), where [:, :, i] depends on z[:, :i] and context.
  torch::Tensor forward(const torch::Tensor& z, const torch::Tensor& context);

 private:
  std::vector<std::shared_ptr<MaskedLinear>> layers_;
  Activation activation_;
  int64_t size_;
};

}  // namespace elbo
