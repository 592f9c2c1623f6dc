// The maximum mean discrepancy of two samples (Gretton et al. 2012).
#pragma once
#include <torch/types.h>

#include <string>

namespace elbo {

// a (n, d), b (m, d) → the unbiased estimate of MMD² (lemma 6), a scalar; below 0 by chance where the two are
// alike. n, m ≥ 2, else a usage Error. kernel, with s² = scale · d:
//   imq  Σ c / (c + |a-b|²) over c = 2s² · {0.1, 0.2, 0.5, 1, 2, 5, 10} (Tolstikhin et al. 2018, section 4)
//   rbf  exp(-|a-b|² / 2s²)
torch::Tensor mmd(const torch::Tensor& a, const torch::Tensor& b, const std::string& kernel, double scale);

}  // namespace elbo
