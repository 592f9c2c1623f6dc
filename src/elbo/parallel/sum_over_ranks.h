// What is small and needed everywhere goes whole to every rank: evaluations, statistics of a step.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/parallel/tree_sum.h"

namespace elbo {

// The sum over all leaves, on every rank, from each rank's sums of the maximal subtrees of its leaves, (n) on
// the CPU. Collective.
torch::Tensor sum_over_ranks(Communicator& comm, const std::vector<Part>& own, int64_t microbatches,
                             torch::IntArrayRef shape, torch::ScalarType type);

}  // namespace elbo
