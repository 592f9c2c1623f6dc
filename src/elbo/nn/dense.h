// The product of a dense layer.
#pragma once
#include <torch/types.h>

namespace elbo {

// x·weightᵀ + bias: x (…, in), weight (out, in), bias (out) → (…, out). With portable kernels (nn/kernels.h)
// on a CPU, the derivative adds the weight's gradient to the thread's sums (kernels/gradient_sums.h), if
// there are any: the same bits, without a tensor between.
torch::Tensor dense(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias);

}  // namespace elbo
