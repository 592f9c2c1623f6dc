#include "elbo/parallel/tree_sum.h"

#include <torch/types.h>

#include <algorithm>
#include <bit>

#include "elbo/base/error.h"
#include "elbo/parallel/flat_parameters.h"

namespace elbo {
namespace {

void collect_subtrees(Node node, IndexRange range, std::vector<Node>& result) {
  if (node.end <= range.first || range.end <= node.first) return;
  if (range.first <= node.first && node.end <= range.end) {
    result.push_back(node);
    return;
  }
  const int64_t middle = split_point(node);
  collect_subtrees({node.first, middle}, range, result);
  collect_subtrees({middle, node.end}, range, result);
}

double sum_of(const double* values, int64_t count) {
  if (count == 0) return 0;
  if (count == 1) return *values;
  const int64_t middle = split_point({0, count});
  return sum_of(values, middle) + sum_of(values + middle, count - middle);
}

}  // namespace

int64_t split_point(Node node) {
  return node.first + static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(node.size() - 1)));
}

bool are_siblings(Node left, Node right, int64_t microbatches) {
  const Node parent{left.first, right.end};
  for (Node node{0, microbatches};
       node.size() >= parent.size() && node.size() > 1;) {  // down from the root to the parent
    const int64_t middle = split_point(node);
    if (node.first == parent.first && node.end == parent.end)
      return middle == left.end && middle == right.first;
    (parent.first < middle ? node.end : node.first) = middle;
  }
  return false;
}

std::vector<Node> maximal_subtrees(IndexRange range, int64_t microbatches) {
  std::vector<Node> result;
  if (range.size() > 0) collect_subtrees({0, microbatches}, range, result);
  return result;
}

torch::Tensor canonical_sum(Node node, const std::vector<PartialSum>& parts) {
  for (const PartialSum& part : parts)
    if (part.node.first == node.first && part.node.end == node.end) return part.sum;
  if (node.size() < 2) fail("microbatch {} is missing from the sum", node.first);
  const int64_t middle = split_point(node);
  const torch::Tensor left = canonical_sum({node.first, middle}, parts);
  left.add_(canonical_sum({middle, node.end}, parts));
  return left;
}

torch::Tensor canonical_sum(Node node, const std::vector<PartialSum>& parts, Workers& workers) {
  const auto first =
      std::ranges::find_if(parts, [&](const PartialSum& part) { return part.node.first == node.first; });
  if (first == parts.end()) fail("microbatch {} is missing from the sum", node.first);
  if (first->sum.numel() % block_elements != 0)
    fail("the sum has {} elements, which is not a multiple of the block size", first->sum.numel());
  if (first->node.end != node.end)
    workers.run([&](int worker) {
      const IndexRange own = partition_blocks({0, first->sum.numel()}, worker, workers.count());
      if (own.size() > 0) canonical_sum(node, narrowed(parts, own.first, own.end));
    });
  return first->sum;
}

std::vector<PartialSum> narrowed(const std::vector<PartialSum>& parts, int64_t first, int64_t end) {
  std::vector<PartialSum> result;
  result.reserve(parts.size());
  for (const PartialSum& part : parts) result.push_back({part.node, part.sum.narrow(0, first, end - first)});
  return result;
}

double canonical_sum(const std::vector<double>& values) {
  return sum_of(values.data(), static_cast<int64_t>(values.size()));
}

std::vector<PartialSum> subtree_sums(IndexRange shard, int64_t microbatches,
                                     const std::vector<PartialSum>& parts) {
  std::vector<PartialSum> sums;
  for (const Node& node : maximal_subtrees(shard, microbatches))
    sums.push_back({node, canonical_sum(node, parts)});
  return sums;
}

TreeAccumulator::TreeAccumulator(int64_t microbatches, int64_t elements, torch::TensorOptions options)
    : microbatches_(microbatches), elements_(elements), options_(options) {}

void TreeAccumulator::add(int64_t microbatch, const torch::Tensor& values) {
  open(microbatch);
  accumulates_ ? buffer_.add_(values) : buffer_.copy_(values);
  merge(0, elements_);
}

void TreeAccumulator::reset() {
  for (auto& [left, right] : siblings_) spare_.push_back(std::move(right));
  siblings_.clear();
  for (PartialSum& part : parts_) spare_.push_back(std::move(part.sum));
  parts_.clear();
}

void TreeAccumulator::push(int64_t microbatch) {
  if (spare_.empty()) spare_.push_back(torch::zeros({elements_}, options_));
  parts_.push_back({{microbatch, microbatch + 1}, std::move(spare_.back())});
  spare_.pop_back();
}

void TreeAccumulator::open(int64_t microbatch) {
  for (auto& [left, right] : siblings_) spare_.push_back(std::move(right));
  siblings_.clear();
  accumulates_ =
      !parts_.empty() && are_siblings(parts_.back().node, {microbatch, microbatch + 1}, microbatches_);
  if (accumulates_) {
    parts_.back().node.end = microbatch + 1;
  } else {
    push(microbatch);
  }
  buffer_ = parts_.back().sum;
  while (parts_.size() >= 2 &&
         are_siblings(parts_[parts_.size() - 2].node, parts_.back().node, microbatches_)) {
    PartialSum& left = parts_[parts_.size() - 2];
    siblings_.emplace_back(left.sum, std::move(parts_.back().sum));
    left.node.end = parts_.back().node.end;
    parts_.pop_back();
  }
}

void TreeAccumulator::merge(int64_t first, int64_t end) {
  for (const auto& [left, right] : siblings_)
    left.narrow(0, first, end - first).add_(right.narrow(0, first, end - first));
}

}  // namespace elbo
