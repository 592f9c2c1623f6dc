// The rows of a split before a run trains: a sample of them, and passes over all of them that the ranks
// share.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/base/index_range.h"
#include "elbo/comm/communicator.h"
#include "elbo/data/row_source.h"

namespace elbo {

// The rows in consecutive parts of at most 4096 rows and about a million numbers. Each rank reads its share.
class RowPass {
 public:
  RowPass(const Communicator& world, const RowSource& rows, int64_t features);
  int64_t parts() const { return parts_; }
  IndexRange own() const { return own_; }  // parts of this rank
  Batch read(int64_t part) const;

 private:
  const RowSource& rows_;
  int64_t step_, parts_;  // rows of a part, and the number of parts
  IndexRange own_;
};

// Up to 1024 rows, spread over all of them, at most 16 MiB.
Batch sample_rows(const RowSource& rows, int64_t features);

// x, or where values are missing those of it that are observed, (n); n may be 0.
torch::Tensor observed_values(const Batch& batch);
// The same, or a 0 where there are none.
torch::Tensor observed_or_zero(const Batch& batch);

// The largest of all values, or of those that were read before one was above `enough`. Collective; each rank
// gets the result.
double largest_value(Communicator& world, const RowSource& rows, int64_t features, double enough);

// Whether every value is 0 or 1. Collective; each rank gets the result.
bool all_zero_or_one(Communicator& world, const RowSource& rows, int64_t features);

}  // namespace elbo
