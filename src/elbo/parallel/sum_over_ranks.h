// Reproducible sums of small tensors that every rank needs as a whole: evaluations, statistics of a step.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/parallel/tree_sum.h"

namespace elbo {

// An all-gather of all partial sums, added in tree order on every rank. own: this rank's sums for the maximal
// subtrees of its partition of the microbatches, each of `shape` and `type`, on the CPU. Collective.
torch::Tensor sum_over_ranks(Communicator& comm, const std::vector<PartialSum>& own, int64_t microbatches,
                             torch::IntArrayRef shape, torch::ScalarType type);

}  // namespace elbo
