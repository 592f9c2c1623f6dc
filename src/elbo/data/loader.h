// Loads the microbatches of a rank. A background thread prefetches up to `prefetch` microbatches for each
// worker.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/base/random.h"
#include "elbo/data/batch.h"
#include "elbo/data/row_source.h"
#include "elbo/data/sampler.h"

namespace elbo {

struct LoaderOptions {
  int64_t batch = 0, microbatch = 0;  // B and m; M = B / m
  IndexRange microbatches;            // of each step, those of this rank
  std::string binarize = "none";
  int64_t shuffle_buffer_bytes = 0;
  int64_t prefetch = 4;  // microbatches read ahead, for each worker
  int workers = 1;       // partition the microbatches as in LocalGradients
  uint64_t seed = 0;
  int64_t first_step = 0, end_step = 0;           // the steps that will be requested
  double timeout = 600;                           // of the wait for a microbatch, seconds
  bool pinned = false;                            // batches are for a GPU
  std::shared_ptr<const WeightedRows> weights{};  // of the rows, or null
};

class Loader {
 public:
  // Reads and validates a split that fits the shuffle buffer; starts the thread. `source` must outlive the
  // loader.
  Loader(const RowSource& source, LoaderOptions options);
  // Stops the thread. If that hangs in a read, its source cannot be destroyed: the process then prints an
  // error and exits with ExitCode::hang.
  ~Loader();
  // Returns a microbatch of this rank, waiting for it if necessary. Request each once, steps in ascending
  // order. Rethrows an exception of the background thread; throws Error after `timeout`. Thread-safe.
  Batch microbatch(int64_t step, int64_t microbatch);
  double waited_seconds() const;  // total time that workers have waited for data

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Rows [first, end) in the order of the file, for evaluation. Unless `binarize` is "none", they are binarised
// statically, keyed by the row number, as the loader does with binarize_key(seed, split) (Larochelle & Murray
// 2011).
Batch read_rows(const RowSource& source, int64_t first, int64_t end, const std::string& binarize, Key key);
// The same for the rows `ids`.
Batch read_rows(const RowSource& source, const std::vector<int64_t>& ids, const std::string& binarize,
                Key key);

}  // namespace elbo
