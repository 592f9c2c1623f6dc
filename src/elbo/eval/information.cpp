#include "elbo/eval/information.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace elbo {
namespace {

const double log_2pi = std::log(2 * std::numbers::pi);

}  // namespace

Information information(const torch::Tensor& mean, const torch::Tensor& logvar, Key key) {
  constexpr int64_t numbers_at_once = 1 << 22;
  const torch::Tensor m = mean.to(torch::kFloat64), v = logvar.to(torch::kFloat64);
  const int64_t rows = m.size(0), latent = m.size(1);
  RandomGenerator noise(key);
  const torch::Tensor eps = noise.normal({rows, latent}).to(torch::kFloat64), z = m + (0.5 * v).exp() * eps;
  const torch::Tensor precision = (-v).exp();
  const double log_rows = std::log(static_cast<double>(rows));
  double log_joint = 0, log_marginals = 0;
  const int64_t step = std::max<int64_t>(1, numbers_at_once / (rows * latent));
  for (int64_t first = 0; first < rows; first += step) {
    // (b, n, latent): log q(z_j|x_n).
    const torch::Tensor deviation = z.slice(0, first, first + step).unsqueeze(1) - m;
    const torch::Tensor log_q = -0.5 * (deviation.square() * precision + v + log_2pi);
    log_joint += (log_q.sum(2).logsumexp(1) - log_rows).sum().item<double>();
    log_marginals += (log_q.logsumexp(1) - log_rows).sum().item<double>();
  }
  const auto n = static_cast<double>(rows);
  const double log_posterior = (-0.5 * (eps.square() + v + log_2pi)).sum().item<double>() / n;
  const double log_prior = (-0.5 * (z.square() + log_2pi)).sum().item<double>() / n;
  return {.mutual_information = log_posterior - log_joint / n,
          .total_correlation = (log_joint - log_marginals) / n,
          .dimension_wise_kl = log_marginals / n - log_prior,
          .marginal_kl = log_joint / n - log_prior};
}

}  // namespace elbo
