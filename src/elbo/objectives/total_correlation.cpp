#include "elbo/objectives/total_correlation.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"

namespace elbo {

torch::Tensor log_density_weights(DensityEstimator estimator, int64_t b, int64_t rows) {
  const auto n = static_cast<double>(std::max(rows, b));
  if (estimator == DensityEstimator::weighted)
    return torch::full({b, b}, -std::log(n * static_cast<double>(b)));
  // Of the m other rows, m-1 have the weight of one row, and one has the weight of all rows that are not in
  // the microbatch.
  const auto m = static_cast<double>(b - 1);
  torch::Tensor weights = torch::full({b, b}, 1 / m);
  weights.diagonal().fill_(1 / n);
  const torch::Tensor row = torch::arange(b);
  weights.index_put_({row, (row + 1).remainder(b)}, torch::full({b}, (n - m) / (n * m)));
  return weights.log();
}

KlParts kl_parts(const DiagonalNormal& posterior, const torch::Tensor& z, DensityEstimator estimator,
                 int64_t rows) {
  const int64_t b = z.size(0);
  if (b < 2)
    usage_error(
        "train.microbatch=1: the aggregate posterior is estimated within a microbatch; expected at least 2");
  // log q(z_id | x_j) for each dimension d: (i, j, d).
  const DiagonalNormal all{posterior.mean.unsqueeze(0), posterior.logvar.unsqueeze(0)};
  const torch::Tensor pairs = all.log_prob_per_dimension(z.unsqueeze(1));
  const torch::Tensor weights = log_density_weights(estimator, b, rows).to(z.device());
  const torch::Tensor joint = (pairs.sum(-1) + weights).logsumexp(1);                  // log q(z)
  const torch::Tensor product = (pairs + weights.unsqueeze(-1)).logsumexp(1).sum(-1);  // log Π q(z_d)
  return {posterior.log_prob(z) - joint, joint - product, product - standard_normal_log_prob(z)};
}

}  // namespace elbo
