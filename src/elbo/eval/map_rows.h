// Applies a function to every row of a split and writes the results to an HDF5 file. All workers of all ranks
// compute; the results have the same bits for every number of ranks and workers.
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

// A float32 dataset of the file, and the shape of one row of it.
struct RowOutput {
  std::string name;
  std::vector<int64_t> shape;
};

// The outputs of the rows first … end-1, which are one microbatch: flattened and concatenated, (b, width).
// Called by several workers at once.
using RowFunction = std::function<torch::Tensor(int worker, int64_t microbatch, int64_t first, int64_t end)>;

// Collective. Microbatches have `microbatch` rows, the last one may have fewer, so that the result of a row
// does not depend on who computes it. Rank 0 receives the results and writes the file, with /row, the number
// of each row in its split; /label and /name where rows have them; and /split, a code, where rows are of
// several splits. The file appears whole or not at all. Memory: one microbatch for each worker of the rank;
// on rank 0 also one for each worker of all ranks.
void map_rows(Communicator& world, Workers& workers, const RowSource& source, int64_t microbatch,
              const std::vector<RowOutput>& outputs, const RowFunction& function, const std::string& path);

}  // namespace elbo
