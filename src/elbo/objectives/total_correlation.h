// The KL term cut in three (Chen et al. 2018, eq. 2): how much z tells of the row's index, how far its
// dimensions depend on one another, how far each is from the prior.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/nn/distributions.h"

namespace elbo {

struct KlParts {
  torch::Tensor mutual_information, total_correlation, dimension_wise;  // (b), nats; they sum to the KL
};

// log q(z) needs the whole training set, of `rows` rows; a microbatch estimates it.
//   weighted    minibatch-weighted sampling: Chen et al. 2018, eq. 5; biased
//   stratified  minibatch-stratified sampling: eq. S6; unbiased for E q(z)
enum class DensityEstimator { weighted, stratified };

// log of the weight that q(z_i|x_j) has in the estimate of q(z_i): (b, b). b ≥ 2, b ≤ rows.
torch::Tensor log_density_weights(DensityEstimator estimator, int64_t b, int64_t rows);

// z (b, latent): one draw from the posterior of each row. Throws a usage Error for a microbatch of one row.
KlParts kl_parts(const DiagonalNormal& posterior, const torch::Tensor& z, DensityEstimator estimator,
                 int64_t rows);

}  // namespace elbo
