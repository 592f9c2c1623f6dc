#include "elbo/nn/likelihood_counts.h"

#include <torch/types.h>

#include <cmath>
#include <vector>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// μ from 1e-26 to 1e13, far beyond that of any count: its logarithm and exponential stay finite.
constexpr double lowest_log_mean = -60, highest_log_mean = 30;
// The sum that a row without counts is taken to have: log p stays finite.
constexpr double smallest_library = 1e-6;

torch::Tensor sum_of_row(const torch::Tensor& x) {  // (b, …row) → (b, 1), float64
  return x.flatten(1).sum(1, /*keepdim=*/true, torch::kFloat64);
}

}  // namespace

torch::Tensor Counts::log_mean(const torch::Tensor& decoded, int64_t dim,
                               const torch::Tensor& log_library) const {
  const torch::Tensor first = decoded.select(dim, 0).to(torch::kFloat64);
  if (!observed_library_) return bounded(first, lowest_log_mean, highest_log_mean);
  const torch::Tensor of_row = first.flatten(dim).log_softmax(dim) + log_library;
  return bounded(of_row, lowest_log_mean, highest_log_mean).view_as(first);
}

torch::Tensor Counts::log_mean_of_samples(const torch::Tensor& decoded) const {
  return log_mean(decoded, param_dim,
                  torch::full({1}, std::log(library_size_), decoded.options().dtype(torch::kFloat64)));
}

torch::Tensor Counts::log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const {
  const torch::Tensor counts = x.to(torch::kFloat64);
  const torch::Tensor log_library = sum_of_row(x).clamp_min(smallest_library).log();
  torch::Tensor log_p =
      log_prob_of_counts(counts, log_mean(decoded, batched_param_dim, log_library), decoded);
  if (zero_inflated_) {
    const torch::Tensor zero = decoded.select(batched_param_dim, 1).to(torch::kFloat64);
    const torch::Tensor counted = torch::log_sigmoid(-zero) + log_p;
    log_p = torch::where(counts.eq(0), torch::logaddexp(torch::log_sigmoid(zero), counted), counted);
  }
  return log_p.to(decoded.scalar_type());
}

torch::Tensor Counts::mean(const torch::Tensor& decoded) const {
  torch::Tensor expected = log_mean_of_samples(decoded).exp();
  if (zero_inflated_) expected = expected * torch::sigmoid(-decoded.select(param_dim, 1));
  return expected.to(decoded.scalar_type());
}

torch::Tensor Counts::rescaled(const torch::Tensor& mean, const torch::Tensor& x) const {
  if (!observed_library_) return mean;
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[0] = x.size(0);
  return mean * (sum_of_row(x) / library_size_).to(mean.scalar_type()).view(shape);
}

torch::Tensor Counts::sample(const torch::Tensor& decoded, RandomGenerator& noise) const {
  torch::Tensor counts = sample_counts(log_mean_of_samples(decoded).exp(), decoded, noise);
  if (zero_inflated_) counts = counts * noise.bernoulli(torch::sigmoid(-decoded.select(param_dim, 1)));
  return counts.to(decoded.scalar_type());
}

}  // namespace elbo
