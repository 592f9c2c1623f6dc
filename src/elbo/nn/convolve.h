// Convolutions of images and volumes, by the kernels in use (nn/kernels.h). With portable ones, for float32
// images on the CPU, they are products (kernels/product.h) of patches of k × k pixels: an element of a patch
// is numbered by row, column and channel, in this order, and a product adds over ascending numbers. Volumes
// are the library's.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace elbo {

// x (b, in, …sides), weight (out, in, k, …), bias (out) → (b, out, …sides'), where the sides are (height,
// width) or (depth, height, width).
torch::Tensor convolve(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                       int64_t stride, int64_t padding);

// x (b, in, …sides'), weight (in, out, k, …), bias (out) → (b, out, …sides). output_padding (…sides) is added
// to one side of the output.
torch::Tensor convolve_transposed(const torch::Tensor& x, const torch::Tensor& weight,
                                  const torch::Tensor& bias, int64_t stride, int64_t padding,
                                  torch::IntArrayRef output_padding);

}  // namespace elbo
