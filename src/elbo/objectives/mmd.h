// The maximum mean discrepancy between two samples (Gretton et al. 2012).
#pragma once
#include <torch/types.h>

#include <string>

#include "elbo/base/options.h"

namespace elbo {

struct MmdOptions {
  std::string kernel = "imq";     // imq | rbf
  double scale = 1.0;             // s²/d, see mmd()
  void bind(OptionTable& table);  // model.kernel and model.kernel_scale
};

// a (n, d), b (m, d) → the unbiased estimate of MMD² (lemma 6), a scalar, which may be negative. Throws a
// usage Error unless n, m ≥ 2. The kernel, with s² = scale · d:
//   imq  Σ c / (c + |a-b|²) over c = 2s² · {0.1, 0.2, 0.5, 1, 2, 5, 10} (Tolstikhin et al. 2018, section 4)
//   rbf  exp(-|a-b|² / 2s²)
torch::Tensor mmd(const torch::Tensor& a, const torch::Tensor& b, const MmdOptions& options);

}  // namespace elbo
