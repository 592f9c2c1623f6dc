// How near the distribution of samples is to that of rows, by features of both. On the CPU.
#pragma once
#include <torch/types.h>

namespace elbo {

// The Fréchet distance of the normal distributions with the means and covariances of a (n, d) and b (m, d):
// ‖μ_a - μ_b‖²
// + tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½) (Heusel et al. 2017, eq. 6; there of the features of an Inception network).
// n, m ≥ 2. Memory and time grow with d² and d³.
double frechet_distance(const torch::Tensor& a, const torch::Tensor& b);

// Of points (n, d), the share that is within the manifold of `others` (m, d): at most as far from one of them
// as its k-th nearest neighbour among them (Kynkäänniemi et al. 2019, eqs. 1 and 2). Precision is that of
// samples in rows, recall that of rows in samples. m > k.
double share_in_manifold(const torch::Tensor& points, const torch::Tensor& others, int64_t k = 3);

}  // namespace elbo
