// The decomposition of the KL term in three (Chen et al. 2018, eq. 2): the mutual information of z and the
// row's index, the total correlation of z, and the KL of each dimension from the prior.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/nn/distributions.h"

namespace elbo {

struct KlParts {
  torch::Tensor mutual_information, total_correlation, dimension_wise;  // (b), nats; their sum is the KL
};

// How a microbatch estimates log q(z), a mean over all `rows` rows of the training set.
//   weighted    minibatch-weighted sampling: Chen et al. 2018, eq. 5; biased
//   stratified  minibatch-stratified sampling: eq. S6; unbiased for E q(z)
enum class DensityEstimator { weighted, stratified };

// log of the weight of q(z_i|x_j) in the estimate of q(z_i): (b, b). 2 ≤ b ≤ rows.
torch::Tensor log_density_weights(DensityEstimator estimator, int64_t b, int64_t rows);

// z (b, latent): a sample of the posterior of each row. Throws a usage Error for a microbatch of one row.
KlParts kl_parts(const DiagonalNormal& posterior, const torch::Tensor& z, DensityEstimator estimator,
                 int64_t rows);

}  // namespace elbo
