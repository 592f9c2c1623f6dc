#include "elbo/nn/distributions.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "elbo/nn/kernels.h"

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

// Means from which on Poisson samples are drawn by rejection.
constexpr double large_mean = 10;

// By inversion of the cumulative distribution at a uniform number of 48 bits.
torch::Tensor sample_small_poisson(const torch::Tensor& mean, RandomGenerator& noise) {
  const torch::Tensor coarse = noise.uniform(mean.sizes()).to(torch::kFloat64);
  const torch::Tensor u = coarse + open_uniform(mean.sizes(), noise) * 0x1p-24;
  torch::Tensor probability = (-mean).exp(), cumulative = probability, count = torch::zeros_like(mean);
  constexpr int most = 200;  // far more than a mean of 10 gives; rounding may leave the last sum below u
  for (int i = 1; i <= most; ++i) {
    const torch::Tensor above = cumulative.le(u);
    if (!above.any().item<bool>()) break;
    count = count + above.to(torch::kFloat64);
    probability = probability * mean / i;
    cumulative = cumulative + probability;
  }
  return count;
}

// The transformed rejection of Hörmann 1993, algorithm PTRS, for means of 10 and more.
torch::Tensor sample_large_poisson(const torch::Tensor& mean, RandomGenerator& noise) {
  const torch::Tensor log_mean = mean.log();
  const torch::Tensor b = 0.931 + 2.53 * mean.sqrt(), a = -0.059 + 0.02483 * b;
  const torch::Tensor inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), quick = 0.9277 - 3.6224 / (b - 2);
  torch::Tensor count = torch::zeros_like(mean), open = mean.isfinite();
  while (open.any().item<bool>()) {
    const torch::Tensor u = open_uniform(mean.sizes(), noise) - 0.5, v = open_uniform(mean.sizes(), noise);
    const torch::Tensor us = 0.5 - u.abs();
    const torch::Tensor k = ((2 * a / us + b) * u + mean + 0.43).floor();
    const torch::Tensor certain = us.ge(0.07).logical_and(v.le(quick));
    const torch::Tensor possible = k.ge(0).logical_and(us.ge(0.013).logical_or(v.le(us)));
    const torch::Tensor below = (v * inverse_alpha / (a / us.square() + b))
                                    .log()
                                    .le(k * log_mean - mean - (k.clamp_min(0) + 1).lgamma());
    const torch::Tensor accepted = open.logical_and(certain.logical_or(possible.logical_and(below)));
    count = torch::where(accepted, k, count);
    open = open.logical_and(accepted.logical_not());
  }
  return count;
}

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
  return mean + torch::exp(0.5 * logvar) * epsilon;
}

torch::Tensor DiagonalNormal::standardized(const torch::Tensor& z) const {
  return (z - mean) * torch::exp(-0.5 * logvar);
}

torch::Tensor DiagonalNormal::log_prob(const torch::Tensor& z) const {
  return log_prob_per_dimension(z).sum(-1);
}

torch::Tensor DiagonalNormal::log_prob_per_dimension(const torch::Tensor& z) const {
  return -0.5 * ((z - mean).square() * torch::exp(-logvar) + logvar + log_two_pi);
}

torch::Tensor DiagonalNormal::log_prob_of_noise(const torch::Tensor& epsilon) const {
  return -0.5 * (epsilon.square() + logvar + log_two_pi);
}

torch::Tensor DiagonalNormal::kl_to(const DiagonalNormal& other) const {
  const torch::Tensor distance = (mean - other.mean).square() * torch::exp(-other.logvar);
  const torch::Tensor log_ratio = logvar - other.logvar;
  return 0.5 * (distance + torch::exp(log_ratio) - 1.0 - log_ratio);
}

torch::Tensor DiagonalNormal::kl_to_standard() const {
  return 0.5 * (mean.square() + torch::exp(logvar) - 1.0 - logvar);
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
  return values.is_cpu() || is_for_portable_kernels(values) ? values.cumsum(dim)
                                                            : scan_by_doubling(values, dim);
}

torch::Tensor sample_categorical(const torch::Tensor& logits, int64_t dim, RandomGenerator& noise) {
  const torch::Tensor cumulative = cumulative_sum(logits.softmax(dim), dim);
  const torch::Tensor u = noise.uniform(cumulative.select(dim, 0).sizes()).unsqueeze(dim);
  // Rounding may leave the last cumulative sum below 1.
  return cumulative.le(u).sum(dim).clamp_max(logits.size(dim) - 1);
}

torch::Tensor open_uniform(torch::IntArrayRef sizes, RandomGenerator& noise) {
  return noise.uniform(sizes).to(torch::kFloat64).add_(0x1p-25);
}

// Marsaglia & Tsang 2000; for shapes below 1 by Gamma(shape + 1) · U^(1/shape), their section 6.
torch::Tensor sample_gamma(const torch::Tensor& shape, RandomGenerator& noise) {
  const torch::Tensor alpha = shape.to(torch::kFloat64), is_small = alpha.lt(1);
  const torch::Tensor d = torch::where(is_small, alpha + 1, alpha) - 1.0 / 3, c = (9 * d).rsqrt();
  torch::Tensor sample = torch::zeros_like(d), open = d.isfinite();
  while (open.any().item<bool>()) {
    const torch::Tensor x = noise.normal(d.sizes()).to(torch::kFloat64), u = open_uniform(d.sizes(), noise);
    const torch::Tensor v = (1 + c * x).pow(3);
    // The logarithm of a v below 0 is NaN, which is not accepted.
    const torch::Tensor accepted = open.logical_and(u.log().lt(0.5 * x.square() + d - d * v + d * v.log()));
    sample = torch::where(accepted, d * v, sample);
    open = open.logical_and(accepted.logical_not());
  }
  const torch::Tensor power = (open_uniform(d.sizes(), noise).log() / alpha).exp();
  return torch::where(is_small, sample * power, sample);
}

torch::Tensor sample_poisson(const torch::Tensor& mean, RandomGenerator& noise) {
  const torch::Tensor mu = mean.to(torch::kFloat64), is_large = mu.ge(large_mean);
  torch::Tensor small = sample_small_poisson(mu.clamp_max(large_mean), noise);
  if (!is_large.any().item<bool>()) return small;
  return torch::where(is_large, sample_large_poisson(mu.clamp_min(large_mean), noise), small);
}

}  // namespace elbo
