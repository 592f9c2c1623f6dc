#include "elbo/parallel/tree_reducer.h"

#include <torch/types.h>

#include <algorithm>

namespace elbo {
namespace {

bool holds(IndexRange range, Node node) { return range.first <= node.first && node.end <= range.end; }

}  // namespace

TreeReducer::TreeReducer(IndexRange of_rank, const std::vector<IndexRange>& workers, int64_t microbatches, size_t buckets)
    : of_worker_(workers.size()), complete_(buckets) {
  for (const Node& node : maximal_subtrees(of_rank, microbatches)) roots_.push_back(build(node, workers, microbatches));
  children_ = std::vector<std::atomic<int>>(places_.size() * buckets);
}

size_t TreeReducer::build(Node node, const std::vector<IndexRange>& workers, int64_t microbatches) {
  const size_t place = places_.size();
  places_.push_back({.node = node});
  const auto owner =
      std::ranges::find_if(workers, [&](const IndexRange& range) { return holds(range, node); });
  if (owner != workers.end()) {
    const auto worker = static_cast<size_t>(owner - workers.begin());
    const std::vector<Node> parts = maximal_subtrees(*owner, microbatches);
    places_[place].worker = worker;
    places_[place].part =
        static_cast<size_t>(std::ranges::find(parts, node.first, &Node::first) - parts.begin());
    of_worker_[worker].push_back(place);
    return place;
  }
  const int64_t middle = split_of(node);
  const size_t left = build({node.first, middle}, workers, microbatches);
  const size_t right = build({middle, node.end}, workers, microbatches);
  places_[place].left = left;
  places_[place].right = right;
  places_[left].parent = places_[right].parent = place;
  return place;
}

void TreeReducer::reset() {
  for (std::atomic<int>& count : children_) count = 0;
  for (std::atomic<size_t>& count : complete_) count = 0;
}

void TreeReducer::arrive(size_t worker, size_t bucket, int64_t first, int64_t end,
                   const std::vector<GradientAccumulator>& accumulators) {
  for (size_t place : of_worker_[worker]) {
    bool alone = false;
    for (size_t up = places_[place].parent; up != none; place = up, up = places_[place].parent) {
      alone = children_[bucket * places_.size() + up]++ == 0;  // its sibling's worker goes on from there
      if (alone) break;
      sum_of(places_[up].left, accumulators)
          .narrow(0, first, end - first)
          .add_(sum_of(places_[up].right, accumulators).narrow(0, first, end - first));
    }
    if (!alone) ++complete_[bucket];
  }
}

std::vector<Part> TreeReducer::sums(const std::vector<GradientAccumulator>& accumulators) const {
  std::vector<Part> sums;
  sums.reserve(roots_.size());
  for (const size_t root : roots_) sums.push_back({places_[root].node, sum_of(root, accumulators)});
  return sums;
}

// A sum stands where its first leaf's does.
torch::Tensor TreeReducer::sum_of(size_t place, const std::vector<GradientAccumulator>& accumulators) const {
  while (places_[place].left != none) place = places_[place].left;
  return accumulators[places_[place].worker].parts()[places_[place].part].sum;
}

}  // namespace elbo
