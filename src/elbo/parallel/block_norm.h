// The squares of a gradient, summed in an order that does not depend on who owns which part of it.
#pragma once
#include <torch/types.h>

#include <vector>

#include "elbo/parallel/workers.h"

namespace elbo {

// For each block of block_elements of `values` (whole blocks, float32, contiguous) the sum of its squares, in
// double precision, in order; the work is shared among the workers. A block's sum depends on its numbers
// alone.
std::vector<double> block_square_sums(const torch::Tensor& values, Workers& workers);

}  // namespace elbo
