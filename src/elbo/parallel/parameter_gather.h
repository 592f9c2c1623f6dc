// The all-gather of updated parameters (parallel/gradient_reducer.h), overlapped with what follows it. A
// bucket is awaited at the first use of its parameters, so a forward pass begins while later layers are still
// in transit.
#pragma once
#include <torch/types.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/parallel/buckets.h"
#include "elbo/parallel/levels.h"

namespace elbo {

// Only arrived() may be called by several threads at once.
class ParameterGather {
 public:
  // values: the flat parameters. `levels` outlives the object.
  ParameterGather(const Levels& levels, torch::Tensor values) : levels_(levels), values_(std::move(values)) {}

  // Completes what is in transit, together with the other ranks; not during stack unwinding.
  ~ParameterGather();
  ParameterGather(const ParameterGather&) = delete;
  ParameterGather& operator=(const ParameterGather&) = delete;

  // Starts the all-gather of each bucket, in the order of a forward pass, which uses the last bucket first.
  // All earlier ones must have arrived. Collective.
  void start(const Buckets& buckets);

  // Whether the elements first … end-1 of the flat parameters are up to date on this rank.
  bool arrived(IndexRange elements) const;
  void await(IndexRange elements);  // waits until they are
  void await_all();
  void poll();  // drives progress

 private:
  struct Transfer {
    Transfer(IndexRange range, LevelGather started) : elements(range), gather(std::move(started)) {}
    IndexRange elements;
    LevelGather gather;
    std::atomic<bool> arrived = false;
  };
  const Levels& levels_;
  torch::Tensor values_;
  std::vector<std::unique_ptr<Transfer>> transfers_;  // in order of start
};

}  // namespace elbo
