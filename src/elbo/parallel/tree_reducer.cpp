#include "elbo/parallel/tree_reducer.h"

#include <torch/types.h>

#include <algorithm>

namespace elbo {
namespace {

bool contains(IndexRange range, Node node) { return range.first <= node.first && node.end <= range.end; }

}  // namespace

TreeReducer::TreeReducer(IndexRange local_microbatches, const std::vector<IndexRange>& workers,
                         int64_t microbatches, size_t buckets)
    : worker_nodes_(workers.size()), complete_(buckets) {
  for (const Node& node : maximal_subtrees(local_microbatches, microbatches))
    roots_.push_back(build(node, workers, microbatches));
  arrived_ = std::vector<std::atomic<int>>(nodes_.size() * buckets);
}

size_t TreeReducer::build(Node node, const std::vector<IndexRange>& workers, int64_t microbatches) {
  const size_t index = nodes_.size();
  nodes_.push_back({.node = node});
  const auto owner =
      std::ranges::find_if(workers, [&](const IndexRange& range) { return contains(range, node); });
  if (owner != workers.end()) {
    const auto worker = static_cast<size_t>(owner - workers.begin());
    const std::vector<Node> parts = maximal_subtrees(*owner, microbatches);
    nodes_[index].worker = worker;
    nodes_[index].part =
        static_cast<size_t>(std::ranges::find(parts, node.first, &Node::first) - parts.begin());
    worker_nodes_[worker].push_back(index);
    return index;
  }
  const int64_t middle = split_point(node);
  const size_t left = build({node.first, middle}, workers, microbatches);
  const size_t right = build({middle, node.end}, workers, microbatches);
  nodes_[index].left = left;
  nodes_[index].right = right;
  nodes_[left].parent = nodes_[right].parent = index;
  return index;
}

void TreeReducer::reset() {
  for (std::atomic<int>& count : arrived_) count = 0;
  for (std::atomic<size_t>& count : complete_) count = 0;
}

void TreeReducer::arrive(size_t worker, size_t bucket, int64_t first, int64_t end,
                         const std::vector<TreeAccumulator>& accumulators) {
  for (size_t index : worker_nodes_[worker]) {
    bool is_first = false;
    for (size_t up = nodes_[index].parent; up != none; index = up, up = nodes_[index].parent) {
      is_first = arrived_[bucket * nodes_.size() + up]++ == 0;  // then the sibling's worker adds the two
      if (is_first) break;
      sum_of(nodes_[up].left, accumulators)
          .narrow(0, first, end - first)
          .add_(sum_of(nodes_[up].right, accumulators).narrow(0, first, end - first));
    }
    if (!is_first) ++complete_[bucket];
  }
}

std::vector<PartialSum> TreeReducer::sums(const std::vector<TreeAccumulator>& accumulators) const {
  std::vector<PartialSum> sums;
  sums.reserve(roots_.size());
  for (const size_t root : roots_) sums.push_back({nodes_[root].node, sum_of(root, accumulators)});
  return sums;
}

// The sum of a node is in the buffer of its leftmost descendant.
torch::Tensor TreeReducer::sum_of(size_t index, const std::vector<TreeAccumulator>& accumulators) const {
  while (nodes_[index].left != none) index = nodes_[index].left;
  return accumulators[nodes_[index].worker].parts()[nodes_[index].part].sum;
}

}  // namespace elbo
