#include "elbo/nn/made.h"

#include <fmt/format.h>
#include <torch/types.h>

#include "elbo/nn/precision.h"

namespace elbo {
namespace {

// A unit of degree d depends on the first d inputs (Germain et al. 2015, section 4.1). Input i has the degree
// i + 1, the context 0. The degrees of hidden units cycle through 0 … size - 1; units of degree 0 see only
// the context.
torch::Tensor input_degrees(int64_t size, int64_t context) {
  return torch::cat({torch::arange(1, size + 1), torch::zeros({context}, torch::kInt64)});
}

torch::Tensor mask_between(const torch::Tensor& from, const torch::Tensor& to) {
  return to.unsqueeze(1).ge(from.unsqueeze(0)).to(torch::kFloat32);
}

}  // namespace

MaskedLinear::MaskedLinear(const torch::Tensor& mask, RandomGenerator& init) {
  weight_ = register_parameter("weight", initial_values(mask.sizes(), mask.size(1), init));
  bias_ = register_parameter("bias", initial_values({mask.size(0)}, mask.size(1), init));
  mask_ = register_buffer("mask", mask);
}

torch::Tensor MaskedLinear::forward(const torch::Tensor& x) {
  before_use();
  return in_matmul_precision(x, weight_ * mask_, bias_, torch::linear);
}

Made::Made(int64_t size, int64_t context, int64_t param_channels, const std::vector<int64_t>& hidden,
           Activation activation, RandomGenerator& init)
    : activation_(activation), size_(size) {
  torch::Tensor degrees = input_degrees(size, context);
  const auto append = [&](const torch::Tensor& next) {
    layers_.push_back(register_module(fmt::format("dense{}", layers_.size()),
                                      std::make_shared<MaskedLinear>(mask_between(degrees, next), init)));
    degrees = next;
  };
  for (const int64_t width : hidden) append(torch::arange(width).remainder(size));
  append(torch::arange(size).repeat({param_channels}));
}

torch::Tensor Made::forward(const torch::Tensor& z, const torch::Tensor& context) {
  torch::Tensor h = layers_.front()->forward(torch::cat({z, context}, 1));
  for (size_t i = 1; i < layers_.size(); ++i) h = layers_[i]->forward(activation_(h));
  return h.unflatten(1, {-1, size_});
}

}  // namespace elbo
