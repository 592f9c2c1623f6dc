// A function of every row of a split, written to an HDF5 file: computed by all workers of all ranks, with the
// same bits for every number of them.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/data/row_source.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// A dataset of float32: what a row has in it.
struct RowOutput {
  std::string name;
  std::vector<int64_t> shape;
};

// Of the rows first … end-1, which are a leaf: all outputs side by side, (b, width). Called by many workers
// at once.
using RowFunction = std::function<torch::Tensor(int worker, int64_t microbatch, int64_t first, int64_t end)>;

// Collective. Microbatches have `microbatch` rows, the last one may have fewer, so that the result of a row
// does not depend on who computes it. Rank 0 receives the results and writes the file, with /label where rows
// have labels; the file appears whole or not at all. Memory for one microbatch of each of its workers on a
// rank, on rank 0 for one of each worker of all ranks.
void map_rows(Communicator& world, Workers& workers, const RowSource& source, int64_t microbatch,
              const std::vector<RowOutput>& outputs, const RowFunction& function, const std::string& path);

}  // namespace elbo
