#include "nn/distributions.h"

#include <torch/torch.h>

#include <cmath>
#include <numbers>

namespace elbo {
namespace {

const double log_two_pi = std::log(2.0 * std::numbers::pi);

}  // namespace

DiagonalNormal DiagonalNormal::of(const torch::Tensor& output) {
  const std::vector<torch::Tensor> halves = output.chunk(2, -1);
  return {halves[0], halves[1]};
}

torch::Tensor DiagonalNormal::sample(Noise& noise) const { return sample(noise, 1).squeeze(0); }

torch::Tensor DiagonalNormal::sample(Noise& noise, int64_t k) const {
  return at(noise.normal({k, mean.size(0), mean.size(1)}));
}

torch::Tensor DiagonalNormal::at(const torch::Tensor& epsilon) const {
  return mean + (0.5 * logvar).exp() * epsilon;
}

torch::Tensor DiagonalNormal::standardized(const torch::Tensor& z) const {
  return (z - mean) * (-0.5 * logvar).exp();
}

torch::Tensor DiagonalNormal::log_density(const torch::Tensor& z) const {
  return log_density_of_dimensions(z).sum(-1);
}

torch::Tensor DiagonalNormal::log_density_of_dimensions(const torch::Tensor& z) const {
  return -0.5 * ((z - mean).square() * (-logvar).exp() + logvar + log_two_pi);
}

torch::Tensor DiagonalNormal::kl_to(const DiagonalNormal& other) const {
  const torch::Tensor distance = (mean - other.mean).square() * (-other.logvar).exp();
  const torch::Tensor log_ratio = logvar - other.logvar;
  return 0.5 * (distance + log_ratio.exp() - 1.0 - log_ratio);
}

torch::Tensor DiagonalNormal::kl_to_standard() const {
  return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar);
}

torch::Tensor standard_normal_log_density(const torch::Tensor& z) {
  return -0.5 * (z.square() + log_two_pi).sum(-1);
}

}  // namespace elbo
