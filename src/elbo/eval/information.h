// What the codes of rows hold, by the aggregated posterior q(z) = 1/N Σ q(z|x_n) of Gaussian posteriors.
#pragma once
#include <torch/types.h>

#include "elbo/base/random.h"

namespace elbo {

// Nats. The mean KL of the posteriors from N(0, I) is mutual_information + marginal_kl (Hoffman & Johnson
// 2016, eq. 5), and marginal_kl is total_correlation + dimension_wise_kl (Chen et al. 2018, eq. 2).
struct Information {
  double mutual_information = 0;  // I(n; z) of the rows and their codes, at most log N
  double total_correlation = 0;   // KL of q(z) from the product of its marginals
  double dimension_wise_kl = 0;   // Σ KL of q(z_j) from N(0, 1)
  double marginal_kl = 0;         // KL of q(z) from N(0, I)
};

// mean, logvar (n, latent) of the posteriors, on the CPU, n ≥ 1. At one sample of each posterior; q(z) and
// its marginals are the exact mixtures over all n rows. Time: n²·latent exponentials; memory: some rows at
// once.
Information information(const torch::Tensor& mean, const torch::Tensor& logvar, Key key);

}  // namespace elbo
