// The affine map of layers and recurrent cells.
#pragma once
#include <torch/types.h>

namespace elbo {

// x (…, in), weight (out, in), bias (out) → x·Wᵀ + b (…, out), by the kernels in use (nn/kernels.h). With
// portable ones, for float32 on the CPU,
//
//   y_ij  = b_j + Σ_k x_ik w_jk      fused multiply-adds over ascending k, from b_j on
//   dx_ik = Σ_j dy_ij w_jk           … over ascending j, from 0 on
//   dw_jk = Σ_i dy_ij x_ik           … over ascending rows i
//   db_j  = Σ_i dy_ij                additions over ascending rows i
torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

}  // namespace elbo
