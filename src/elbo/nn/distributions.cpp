#include "elbo/nn/distributions.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace elbo {
namespace {

const double log_two_pi = std::log(2.0 * std::numbers::pi);

constexpr double lowest_logvar = -30, highest_logvar = 20;

class Bounded : public torch::autograd::Function<Bounded> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext*, const torch::Tensor& x, double lowest,
                               double highest) {
    return x.clamp(lowest, highest);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list& gradient) {
    return {gradient[0], torch::Tensor(), torch::Tensor()};
  }
};

// Samples are processed in parts: the densities of a part under all components take at most 16 MiB.
constexpr int64_t mixture_numbers = 1 << 22;

}  // namespace

torch::Tensor bounded(const torch::Tensor& x, double lowest, double highest) {
  return Bounded::apply(x, lowest, highest);
}

DiagonalNormal DiagonalNormal::of(const torch::Tensor& output) {
  const std::vector<torch::Tensor> halves = output.chunk(2, -1);
  return {halves[0], bounded(halves[1], lowest_logvar, highest_logvar)};
}

torch::Tensor DiagonalNormal::sample(RandomGenerator& noise) const { return sample(noise, 1).squeeze(0); }

torch::Tensor DiagonalNormal::sample(RandomGenerator& noise, int64_t k) const {
  return reparameterize(noise.normal({k, mean.size(0), mean.size(1)}));
}

DensitySample DiagonalNormal::sample_with_log_prob(RandomGenerator& noise, int64_t k) const {
  const torch::Tensor epsilon = noise.normal({k, mean.size(0), mean.size(1)});
  return {reparameterize(epsilon), log_prob_of_noise(epsilon).sum(-1)};
}

torch::Tensor DiagonalNormal::reparameterize(const torch::Tensor& epsilon) const {
  return mean + (0.5 * logvar).exp() * epsilon;
}

torch::Tensor DiagonalNormal::standardized(const torch::Tensor& z) const {
  return (z - mean) * (-0.5 * logvar).exp();
}

torch::Tensor DiagonalNormal::log_prob(const torch::Tensor& z) const {
  return log_prob_per_dimension(z).sum(-1);
}

torch::Tensor DiagonalNormal::log_prob_per_dimension(const torch::Tensor& z) const {
  return -0.5 * ((z - mean).square() * (-logvar).exp() + logvar + log_two_pi);
}

torch::Tensor DiagonalNormal::log_prob_of_noise(const torch::Tensor& epsilon) const {
  return -0.5 * (epsilon.square() + logvar + log_two_pi);
}

torch::Tensor DiagonalNormal::kl_to(const DiagonalNormal& other) const {
  const torch::Tensor distance = (mean - other.mean).square() * (-other.logvar).exp();
  const torch::Tensor log_ratio = logvar - other.logvar;
  return 0.5 * (distance + log_ratio.exp() - 1.0 - log_ratio);
}

torch::Tensor DiagonalNormal::kl_to_standard() const {
  return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar);
}

torch::Tensor standard_normal_log_prob(const torch::Tensor& z) {
  return -0.5 * (z.square() + log_two_pi).sum(-1);
}

torch::Tensor mixture_log_prob(const DiagonalNormal& components, const torch::Tensor& z) {
  const int64_t at_once = std::max<int64_t>(1, mixture_numbers / components.mean.numel());
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& part : z.flatten(0, -2).split(at_once))
    parts.emplace_back(components.log_prob(part.unsqueeze(1)).logsumexp(1));
  const double log_count = std::log(static_cast<double>(components.mean.size(0)));
  return torch::cat(parts).view(z.sizes().slice(0, static_cast<size_t>(z.dim() - 1))) - log_count;
}

torch::Tensor scan_by_doubling(torch::Tensor values, int64_t dim) {
  const int64_t size = values.size(dim);
  for (int64_t distance = 1; distance < size; distance *= 2)
    values = torch::cat({values.narrow(dim, 0, distance), values.narrow(dim, distance, size - distance) +
                                                              values.narrow(dim, 0, size - distance)},
                        dim);
  return values;
}

torch::Tensor cumulative_sum(const torch::Tensor& values, int64_t dim) {
  return values.is_cpu() ? values.cumsum(dim) : scan_by_doubling(values, dim);
}

torch::Tensor sample_categorical(const torch::Tensor& logits, int64_t dim, RandomGenerator& noise) {
  const torch::Tensor cumulative = cumulative_sum(logits.softmax(dim), dim);
  const torch::Tensor u = noise.uniform(cumulative.select(dim, 0).sizes()).unsqueeze(dim);
  // Rounding may leave the last cumulative sum below 1.
  return cumulative.le(u).sum(dim).clamp_max(logits.size(dim) - 1);
}

}  // namespace elbo
