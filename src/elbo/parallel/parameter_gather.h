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
#include "elbo/comm/communicator.h"
#include "elbo/parallel/buckets.h"

namespace elbo {

// Only arrived() may be called by several threads at once.
class ParameterGather {
 public:
  // values: the flat parameters.
  ParameterGather(Communicator& comm, torch::Tensor values) : comm_(comm), values_(std::move(values)) {}

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
    IndexRange elements;
    std::unique_ptr<Work> work;
    std::atomic<bool> arrived = false;
  };
  Communicator& comm_;
  torch::Tensor values_;
  std::vector<std::unique_ptr<Transfer>> transfers_;  // in order of start
};

}  // namespace elbo
