// The one order in which leaves are added: a balanced binary tree over 0 … M-1 whose shape follows from M
// alone. A node over more than one leaf splits at the largest power of two below its count.
//
// Whoever owns a contiguous range of leaves adds them as far as the tree allows: to the maximal subtrees
// inside the range. Who owns what therefore cannot change a bit, only where the additions happen.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/parallel/workers.h"

namespace elbo {

using Node = IndexRange;  // a node is the range of leaves below it

int64_t split_of(Node node);  // first leaf of the right child; node.size() ≥ 2
bool are_siblings(Node left, Node right,
                  int64_t microbatches);  // the two children of one node of the tree over `leaves`
std::vector<Node> maximal_subtrees(IndexRange shard, int64_t microbatches);  // in order of leaves

// A node and the sum of the leaves below it.
struct Part {
  Node node;
  torch::Tensor sum;
};

// The sum of `node` from parts that cover it, each a node of the tree, in tree order. Adds in place: sums of
// parts are overwritten, and the result is one of them. Throws Error if the parts do not cover the node.
torch::Tensor canonical_sum(Node node, const std::vector<Part>& parts);
// The same for parts of whole blocks (arena.h), which the workers share. Not from within a worker's task.
torch::Tensor canonical_sum(Node node, const std::vector<Part>& parts, Workers& workers);

// The same for scalars of every leaf, in double precision: values[i] belongs to leaf i. Empty: 0.
double canonical_sum(const std::vector<double>& values);

// Of each part the elements first … end-1.
std::vector<Part> narrowed(const std::vector<Part>& parts, int64_t first, int64_t end);

// Adds up leaves that arrive in order, as a binary counter does: at most log₂ M buffers are in use. A leaf's
// values may come piece by piece, and pieces are added up as they come.
class GradientAccumulator {
 public:
  GradientAccumulator(int64_t microbatches, int64_t elements, torch::Device device);
  void reset();

  // Leaves come in ascending order without gaps.
  void open(int64_t microbatch);
  // Where the open leaf's values go (elements): to be added to what is there, if accumulates(), else to be
  // written. Gaps that are never written stay zero.
  const torch::Tensor& buffer() const { return buffer_; }
  bool accumulates() const { return accumulates_; }
  // The open leaf's values first … end-1 are in the buffer: adds them up as far as the tree allows.
  void merge(int64_t first, int64_t end);

  // The sums so far; with the open leaf, where its values have been merged.
  const std::vector<Part>& parts() const { return parts_; }

 private:
  void push(int64_t microbatch);
  int64_t microbatches_, elements_;
  torch::Device device_;
  std::vector<Part> parts_;
  std::vector<torch::Tensor> spare_;
  // Of the open leaf: the siblings that it completes, from the leaf up.
  torch::Tensor buffer_;
  bool accumulates_ = false;
  std::vector<std::pair<torch::Tensor, torch::Tensor>> siblings_;
};

}  // namespace elbo
