// Convolutions of images, by the kernels in use (nn/kernels.h). With portable ones, float32 on the CPU, they
// are products (kernels/product.h) of patches of k × k pixels: an element of a patch is numbered by row,
// column and channel, in this order, and a product adds over ascending numbers.
#pragma once
#include <torch/types.h>

#include <array>
#include <cstdint>

namespace elbo {

// x (b, in, h, w), weight (out, in, k, k), bias (out) → (b, out, h', w').
torch::Tensor conv2d(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                     int64_t stride, int64_t padding);

// x (b, in, h', w'), weight (in, out, k, k), bias (out) → (b, out, h, w). output_padding (rows, columns) is
// added to one side of the output.
torch::Tensor conv_transpose2d(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                               int64_t stride, int64_t padding, std::array<int64_t, 2> output_padding);

}  // namespace elbo
