// The order of samples, a pure function of the position in one endless stream. Each epoch is a keyed
// permutation of the N rows; batches continue across epochs. The sampler has no state, so every rank computes
// the same order, also after a resume.
//
// Rows are shuffled in windows, so that a file is read in large ranges: the chunks of an epoch are permuted,
// consecutive permuted chunks of about `rows_per_window` rows form a window, and the rows of a window are
// permuted. The rows after the last whole chunk belong to a window that the epoch's key chooses. If all rows
// fit into one window, this is a permutation of all rows, independent of chunks.
//
// With weights, the same permutation orders the parts of weighted_rows.h, each of which stands for a row.
// Parts ascend with their rows, so windows of parts are still ranges of the file.
#pragma once
#include <cstdint>
#include <memory>

#include "elbo/base/random.h"
#include "elbo/data/weighted_rows.h"

namespace elbo {

class Sampler {
 public:
  // rows ≥ 1; rows_per_chunk ≥ 1; rows_per_window is rounded down to whole chunks, at least one.
  // weights: null, or of as many rows.
  Sampler(int64_t rows, int64_t rows_per_chunk, int64_t rows_per_window, Key key, bool shuffle = true,
          std::shared_ptr<const WeightedRows> weights = nullptr);
  int64_t rows() const { return rows_; }
  int64_t row_at(int64_t position) const;  // 0 ≤ row < rows, for any position ≥ 0
  int64_t epoch_of(int64_t position) const { return position / rows_; }

 private:
  int64_t shuffled(int64_t index, Key epoch) const;
  int64_t row_in_windows(int64_t index, Key epoch) const;

  int64_t rows_, rows_per_chunk_, chunks_;  // chunks_: whole chunks
  int64_t chunks_per_window_;
  bool one_window_;
  Key key_;
  bool shuffle_;
  std::shared_ptr<const WeightedRows> weights_;
};

}  // namespace elbo
