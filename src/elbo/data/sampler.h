// The order of samples as a pure function of position: one endless stream, in which each epoch is a keyed
// permutation of the N rows and batches run across its borders. Nothing is stored, so any rank, at any time,
// after any resume, computes the same.
//
// Rows are permuted in windows, so that a file can be read in large pieces: the chunks of the epoch are
// permuted, runs of permuted chunks of about `rows_per_window` rows form a window, and the rows inside a
// window are permuted. Rows behind the last whole chunk join a window that the epoch's key chooses. Where all
// rows fit into one window this is a permutation of all rows that does not depend on chunks at all.
#pragma once
#include <cstdint>

#include "elbo/base/random.h"

namespace elbo {

class Sampler {
 public:
  // rows ≥ 1; rows_per_chunk ≥ 1; rows_per_window is rounded down to whole chunks, at least one.
  Sampler(int64_t rows, int64_t rows_per_chunk, int64_t rows_per_window, Key key, bool shuffle = true);
  int64_t rows() const { return rows_; }
  int64_t row_at(int64_t position) const;  // 0 ≤ row < rows, for any position ≥ 0
  int64_t epoch_of(int64_t position) const { return position / rows_; }

 private:
  int64_t row_in_windows(int64_t place, Key epoch) const;

  int64_t rows_, rows_per_chunk_, chunks_;  // chunks: whole ones
  int64_t chunks_per_window_;
  bool one_window_;
  Key key_;
  bool shuffle_;
};

}  // namespace elbo
