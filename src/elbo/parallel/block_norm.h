// Sums of squares of a gradient, in an order that does not depend on how the gradient is sharded.
#pragma once
#include <torch/types.h>

#include <vector>

#include "elbo/parallel/workers.h"

namespace elbo {

// The sum of squares of each block of block_elements of `values` (whole blocks, float32, contiguous), in
// double precision. The workers share the blocks; each sum depends on the values of its block only.
std::vector<double> block_square_sums(const torch::Tensor& values, Workers& workers);

}  // namespace elbo
