// The masked autoencoder MADE (Germain et al. 2015): a dense network whose output i depends only on inputs
// before i.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/layers.h"

namespace elbo {

// A dense layer whose weights are multiplied by a mask of 0 and 1.
class MaskedLinear : public HookedModule {
 public:
  MaskedLinear(const torch::Tensor& mask, RandomGenerator& init);  // mask (out, in)
  torch::Tensor forward(const torch::Tensor& x);                   // (…, in) → (…, out)

 private:
  torch::Tensor weight_, bias_, mask_;
};

// Gives param_channels outputs for each of `size` inputs. Every output also depends on all of the context.
class Made : public torch::nn::Module {
 public:
  // hidden: widths of the hidden layers; with none, the network is linear.
  Made(int64_t size, int64_t context, int64_t param_channels, const std::vector<int64_t>& hidden,
       Activation activation, RandomGenerator& init);
  // z (n, size), context (n, context) → (n, param_channels, size); [:, :, i] depends on z[:, :i] and context.
  torch::Tensor forward(const torch::Tensor& z, const torch::Tensor& context);

 private:
  std::vector<std::shared_ptr<MaskedLinear>> layers_;
  Activation activation_;
  int64_t size_;
};

}  // namespace elbo
