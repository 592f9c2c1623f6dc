// Applies a function to rows that all workers of all ranks share. The results have the same bits for every
// number of ranks and workers.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/eval/result_writer.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// The outputs (b, …shape) of the rows first … end-1, which are one microbatch. Called by several workers at
// once.
using RowFunction =
    std::function<std::vector<torch::Tensor>(int worker, int64_t microbatch, int64_t first, int64_t end)>;

// Called on rank 0 with the outputs (n, …shape), on the CPU, of the rows from `first` on, in their order.
using TakeRows = std::function<void(int64_t first, const std::vector<torch::Tensor>& outputs)>;

// Collective. Microbatches have `microbatch` rows, the last one may have fewer, so that the result of a row
// does not depend on who computes it. Memory: one microbatch for each worker of the rank; on rank 0 also one
// for each worker of all ranks.
void map_rows(Communicator& world, Workers& workers, int64_t rows, int64_t microbatch,
              const std::vector<RowOutput>& outputs, const RowFunction& function, const TakeRows& take);

}  // namespace elbo
