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

torch::Tensor Counts::log_mean_of(const torch::Tensor& decoded, const ElementChoice& choice) const {
  if (!choice.rows.defined())
    return log_mean(decoded, param_dim,
                    torch::full({1}, std::log(library_size_), decoded.options().dtype(torch::kFloat64)));
  const torch::Tensor log_library = sum_of_row(choice.rows).clamp_min(smallest_library).log();
  return log_mean(decoded, param_dim, log_library.repeat({decoded.size(0) / log_library.size(0), 1}));
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
  return mean_given(log_mean_of(decoded, {}), decoded);
}

torch::Tensor Counts::mode(const torch::Tensor& decoded) const {
  return mode_given(log_mean_of(decoded, {}), decoded);
}

torch::Tensor Counts::sample(const torch::Tensor& decoded, RandomGenerator& noise, double temperature) const {
  return sample_given(log_mean_of(decoded, {}), decoded, noise, temperature);
}

torch::Tensor Counts::choose(const torch::Tensor& decoded, const ElementChoice& choice) const {
  const torch::Tensor log_mean = log_mean_of(decoded, choice);
  if (choice.how == Elements::drawn)
    return sample_given(log_mean, decoded, *choice.noise, choice.temperature);
  return choice.how == Elements::mode ? mode_given(log_mean, decoded) : mean_given(log_mean, decoded);
}

torch::Tensor Counts::mean_given(const torch::Tensor& log_mean, const torch::Tensor& decoded) const {
  torch::Tensor expected = log_mean.exp();
  if (zero_inflated_) expected = expected * torch::sigmoid(-decoded.select(param_dim, 1));
  return expected.to(decoded.scalar_type());
}

// With zero inflation the mode is that of the counts, or 0 where that is more probable.
torch::Tensor Counts::mode_given(const torch::Tensor& log_mean, const torch::Tensor& decoded) const {
  torch::Tensor counts = mode_of_counts(log_mean.exp(), decoded);
  if (zero_inflated_) {
    const auto log_p = [&](const torch::Tensor& x) {
      return log_prob_of_counts(x, log_mean.unsqueeze(0), decoded.unsqueeze(0)).squeeze(0);
    };
    const torch::Tensor zero = decoded.select(param_dim, 1).to(torch::kFloat64);
    const torch::Tensor of_zero = torch::logaddexp(
        torch::log_sigmoid(zero), torch::log_sigmoid(-zero) + log_p(torch::zeros_like(counts)));
    counts = counts.masked_fill(of_zero.gt(torch::log_sigmoid(-zero) + log_p(counts)), 0);
  }
  return counts.to(decoded.scalar_type());
}

torch::Tensor counts_at_temperature(const torch::Tensor& draw, const torch::Tensor& mean,
                                    double temperature) {
  if (temperature == 1) return draw;
  return (mean + temperature * (draw - mean)).round().clamp_min(0);
}

torch::Tensor Counts::sample_given(const torch::Tensor& log_mean, const torch::Tensor& decoded,
                                   RandomGenerator& noise, double temperature) const {
  const torch::Tensor expected = log_mean.exp();
  torch::Tensor counts =
      counts_at_temperature(sample_counts(expected, decoded, noise), expected, temperature);
  if (zero_inflated_) counts = counts * noise.bernoulli(torch::sigmoid(-decoded.select(param_dim, 1)));
  return counts.to(decoded.scalar_type());
}

}  // namespace elbo
