// Microbatches by (step, leaf), read ahead by a background thread in bounded memory: at most `prefetch`
// microbatches per worker are held, or the whole split where it fits the window.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/base/random.h"
#include "elbo/data/batch.h"
#include "elbo/data/dataset.h"
#include "elbo/data/sampler.h"

namespace elbo {

struct LoaderOptions {
  int64_t batch = 0, microbatch = 0;  // B and m; M = B / m
  IndexRange microbatches;            // those that this rank owns
  std::string binarize = "none";
  int64_t shuffle_buffer_bytes = 0;
  int64_t prefetch = 4;  // microbatches read ahead, per worker
  int workers = 1;       // that share the leaves as those of LocalGradients do
  uint64_t seed = 0;
  int64_t first_step = 0, end_step = 0;  // steps that will be asked for
  double timeout = 600;                  // seconds that a microbatch is waited for
};

class Loader {
 public:
  Loader(const RowSource& source, LoaderOptions options);
  // Stops the thread. Where that hangs in a read, what it reads from cannot be destroyed: then the process
  // ends here, with exit status 1 and a sentence.
  ~Loader();
  // Leaf of a step, this rank's only. Thread-safe; each is asked for once, steps in order. A failure of the
  // background thread is thrown here, and an Error where it does not come within `timeout`.
  Batch microbatch(int64_t step, int64_t microbatch);
  double waited_seconds() const;  // for data, since the loader was made: summed over workers

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Rows in the order of the file, for evaluation: the same binarisation as the loader's static one.
// Binarised where `binarize` is not "none": static, keyed by the row alone (Larochelle & Murray 2011 fix one
// such draw).
Batch read_rows(const RowSource& source, int64_t first, int64_t end, const std::string& binarize, Key key);

}  // namespace elbo
