// Adds the partial sums of a rank's workers in the order of the tree over the microbatches (tree_sum.h), up
// to the maximal subtrees of the rank's microbatches. The second of two siblings to finish adds them and
// moves up: the order is fixed, the thread is not.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "elbo/parallel/tree_sum.h"

namespace elbo {

class TreeReducer {
 public:
  // workers: the microbatches of each worker, a partition of `local_microbatches`.
  TreeReducer(IndexRange local_microbatches, const std::vector<IndexRange>& workers, int64_t microbatches,
              size_t buckets);
  void reset();

  // Reports that the worker's sums of elements first … end-1, those of the bucket, are complete. Adds what
  // has become possible. Thread-safe.
  void arrive(size_t worker, size_t bucket, int64_t first, int64_t end,
              const std::vector<TreeAccumulator>& accumulators);

  // Whether the rank's sums of the bucket are complete.
  bool complete(size_t bucket) const { return complete_[bucket] == roots_.size(); }

  // The sums of the maximal subtrees of the rank's microbatches; valid in complete buckets.
  std::vector<PartialSum> sums(const std::vector<TreeAccumulator>& accumulators) const;

 private:
  struct TreeNode {
    Node node;
    size_t parent = none, left = none, right = none;
    size_t worker = 0, part = 0;  // without children: the accumulator and the part that hold the sum
  };
  static constexpr size_t none = SIZE_MAX;

  size_t build(Node node, const std::vector<IndexRange>& workers, int64_t microbatches);
  torch::Tensor sum_of(size_t index, const std::vector<TreeAccumulator>& accumulators) const;

  std::vector<TreeNode> nodes_;
  std::vector<size_t> roots_;
  std::vector<std::vector<size_t>> worker_nodes_;  // the nodes without children of each worker
  std::vector<std::atomic<int>> arrived_;          // children that have arrived, for each bucket and node
  std::vector<std::atomic<size_t>> complete_;      // roots that are complete, for each bucket
};

}  // namespace elbo
