// The part of the tree of leaves (tree_sum.h) above what a rank's workers have added up by themselves, up to
// the maximal subtrees of the rank's leaves. Workers come to a bucket's end one after the other: whoever
// finds the sibling there adds the two and goes up, so the sum is taken in tree order, by whoever is at hand.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "elbo/parallel/tree_sum.h"

namespace elbo {

class TreeReducer {
 public:
  // leaves: M. workers: the leaves of each of the rank's workers.
  TreeReducer(IndexRange of_rank, const std::vector<IndexRange>& workers, int64_t microbatches, size_t buckets);
  void reset();

  // The worker has all its leaves' sums of the elements first … end-1, which are those of the bucket. Called
  // by many workers at once.
  void arrive(size_t worker, size_t bucket, int64_t first, int64_t end,
              const std::vector<GradientAccumulator>& accumulators);

  // Whether the rank's sums of the bucket are complete.
  bool complete(size_t bucket) const { return complete_[bucket] == roots_.size(); }

  // The maximal subtrees of the rank's leaves with their sums, of buckets that are complete.
  std::vector<Part> sums(const std::vector<GradientAccumulator>& accumulators) const;

 private:
  struct Place {
    Node node;
    size_t parent = none, left = none, right = none;
    size_t worker = 0, part = 0;  // whose sum it is, where it has no children
  };
  static constexpr size_t none = SIZE_MAX;

  size_t build(Node node, const std::vector<IndexRange>& workers, int64_t microbatches);
  torch::Tensor sum_of(size_t place, const std::vector<GradientAccumulator>& accumulators) const;

  std::vector<Place> places_;
  std::vector<size_t> roots_;
  std::vector<std::vector<size_t>> of_worker_;  // the places without children
  std::vector<std::atomic<int>> children_;      // that are there, of each place in each bucket
  std::vector<std::atomic<size_t>> complete_;   // roots of each bucket
};

}  // namespace elbo
