// Points that ranks share, such as codes of rows, and sums over all of them: the same bits for every number
// of ranks and workers.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// Points in consecutive parts, of which each rank has its own: partition({0, parts}, rank, ranks). How they
// are divided into parts decides the order of sums; ranks do not.
struct SharedPoints {
  int64_t parts = 0;
  std::vector<torch::Tensor> own;  // (n, d) float64 each, on the CPU; n may be 0
};

// All functions are collective, and every rank gets the result.

int64_t count_points(Communicator& world, const SharedPoints& points);
int64_t dimensions_of(Communicator& world, const SharedPoints& points);  // d; some rank must have a part
std::vector<int64_t> sizes_of_parts(Communicator& world, const SharedPoints& points);  // n of all parts

// The sum over all points of function(points of a part), (elements) float64, in the order of one tree.
// Several workers call the function at once.
torch::Tensor sum_over_points(Communicator& world, Workers& workers, const SharedPoints& points,
                              int64_t elements,
                              const std::function<torch::Tensor(const torch::Tensor& part)>& function);

struct Moments {
  double count = 0;
  torch::Tensor mean, variance;  // (d) float64, of each dimension
};
Moments moments_of(Communicator& world, Workers& workers, const SharedPoints& points);

// All points (n, d) float64, on every rank. d: their dimensions.
torch::Tensor all_points(Communicator& world, const SharedPoints& points, int64_t d);

}  // namespace elbo
