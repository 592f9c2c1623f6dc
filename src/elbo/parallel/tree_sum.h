// The fixed order of summation: a binary tree over the microbatches 0 … M-1, whose shape depends on M only. A
// node of n > 1 microbatches splits at the largest power of two below n.
//
// The owner of a contiguous range of microbatches adds them as far as the tree allows: up to the maximal
// subtrees in the range. So ownership decides where an addition happens, but never which two numbers it adds.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/parallel/workers.h"

namespace elbo {

using Node = IndexRange;  // a node of the tree: the range of microbatches below it

int64_t split_point(Node node);  // the first microbatch of the right child; node.size() ≥ 2
// Whether the two are the children of one node of the tree over `microbatches`.
bool are_siblings(Node left, Node right, int64_t microbatches);
std::vector<Node> maximal_subtrees(IndexRange range, int64_t microbatches);  // in order of microbatches

// A node and the sum of the microbatches below it.
struct PartialSum {
  Node node;
  torch::Tensor sum;
};

// The sum of `node`, in tree order, from parts that cover it, each a node of the tree. Adds in place:
// overwrites the sums of parts and returns one of them. Throws Error if the parts do not cover the node.
torch::Tensor canonical_sum(Node node, const std::vector<PartialSum>& parts);
// The same for sums of whole blocks (flat_parameters.h), divided among the workers. Not for use in a worker's
// task.
torch::Tensor canonical_sum(Node node, const std::vector<PartialSum>& parts, Workers& workers);

// The sums of the maximal subtrees of `shard`, from parts that cover it, in order. Adds in place, as above.
std::vector<PartialSum> subtree_sums(IndexRange shard, int64_t microbatches,
                                     const std::vector<PartialSum>& parts);

// The sum of one scalar per microbatch in the same order, in double precision. The sum of no values is 0.
double canonical_sum(const std::vector<double>& values);

// Elements first … end-1 of each part (views).
std::vector<PartialSum> narrowed(const std::vector<PartialSum>& parts, int64_t first, int64_t end);

// Adds the values of consecutive microbatches (gradients, statistics, an evaluation) in tree order, like a
// binary counter, with at most log₂ M + 1 buffers. The values of a microbatch may be written and merged in
// several pieces.
class TreeAccumulator {
 public:
  // microbatches: M. elements: of each microbatch. options: dtype and device of the buffers.
  TreeAccumulator(int64_t microbatches, int64_t elements, torch::TensorOptions options = {});
  void reset();

  // Adds the values (elements) of a microbatch at once. Microbatches come in ascending order without gaps.
  void add(int64_t microbatch, const torch::Tensor& values);

  // The same in pieces: open a microbatch, fill its buffer, merge each range that is filled.
  void open(int64_t microbatch);
  // Where to write the values of the open microbatch: add to the buffer if accumulates(), otherwise overwrite
  // it. Elements that are never written stay zero.
  const torch::Tensor& buffer() const { return buffer_; }
  bool accumulates() const { return accumulates_; }
  // Call when values first … end-1 of the open microbatch are written: adds them as far as the tree allows.
  void merge(int64_t first, int64_t end);

  // The sums so far, including the merged values of the open microbatch.
  const std::vector<PartialSum>& parts() const { return parts_; }

 private:
  void push(int64_t microbatch);
  int64_t microbatches_, elements_;
  torch::TensorOptions options_;
  std::vector<PartialSum> parts_;
  std::vector<torch::Tensor> spare_;
  // Of the current microbatch: its buffer, and the pairs of siblings that it completes, bottom up.
  torch::Tensor buffer_;
  bool accumulates_ = false;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> siblings_;
};

}  // namespace elbo
