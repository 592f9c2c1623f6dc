#include "parallel/joins.h"

#include <torch/torch.h>

#include <algorithm>

namespace elbo {
namespace {

bool holds(LeafRange range, Node node) { return range.first <= node.first && node.end <= range.end; }

}  // namespace

Joins::Joins(LeafRange of_rank, const std::vector<LeafRange>& workers, int64_t leaves, size_t buckets)
    : of_worker_(workers.size()), complete_(buckets) {
  for (const Node& node : maximal_subtrees(of_rank, leaves)) roots_.push_back(build(node, workers, leaves));
  children_ = std::vector<std::atomic<int>>(places_.size() * buckets);
}

size_t Joins::build(Node node, const std::vector<LeafRange>& workers, int64_t leaves) {
  const size_t place = places_.size();
  places_.push_back({.node = node});
  const auto owner =
      std::ranges::find_if(workers, [&](const LeafRange& range) { return holds(range, node); });
  if (owner != workers.end()) {
    const auto worker = static_cast<size_t>(owner - workers.begin());
    const std::vector<Node> parts = maximal_subtrees(*owner, leaves);
    places_[place].worker = worker;
    places_[place].part =
        static_cast<size_t>(std::ranges::find(parts, node.first, &Node::first) - parts.begin());
    of_worker_[worker].push_back(place);
    return place;
  }
  const int64_t middle = split_of(node);
  const size_t left = build({node.first, middle}, workers, leaves);
  const size_t right = build({middle, node.end}, workers, leaves);
  places_[place].left = left;
  places_[place].right = right;
  places_[left].parent = places_[right].parent = place;
  return place;
}

void Joins::reset() {
  for (std::atomic<int>& count : children_) count = 0;
  for (std::atomic<size_t>& count : complete_) count = 0;
}

void Joins::arrive(size_t worker, size_t bucket, int64_t first, int64_t end,
                   const std::vector<LeafAccumulator>& accumulators) {
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

std::vector<Part> Joins::sums(const std::vector<LeafAccumulator>& accumulators) const {
  std::vector<Part> sums;
  sums.reserve(roots_.size());
  for (const size_t root : roots_) sums.push_back({places_[root].node, sum_of(root, accumulators)});
  return sums;
}

// A sum stands where its first leaf's does.
torch::Tensor Joins::sum_of(size_t place, const std::vector<LeafAccumulator>& accumulators) const {
  while (places_[place].left != none) place = places_[place].left;
  return accumulators[places_[place].worker].parts()[places_[place].part].sum;
}

}  // namespace elbo
