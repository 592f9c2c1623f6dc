// Elementary functions of tensors, by the kernels in use (nn/kernels.h): kernels/functions.h for float32 on
// the CPU, or the library's.
#pragma once
#include <torch/types.h>

namespace elbo {

torch::Tensor exp_of(const torch::Tensor& x);
torch::Tensor tanh_of(const torch::Tensor& x);
torch::Tensor sigmoid_of(const torch::Tensor& x);
torch::Tensor softplus_of(const torch::Tensor& x);

}  // namespace elbo
