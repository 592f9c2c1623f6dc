// The one order in which leaves are added: a balanced binary tree over 0 … M-1 whose shape follows from M
// alone. A node over more than one leaf splits at the largest power of two below its count.
//
// Whoever owns a contiguous range of leaves adds them as far as the tree allows: to the maximal subtrees
// inside the range. Who owns what therefore cannot change a bit, only where the additions happen.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "base/leaves.h"

namespace elbo {

using Node = LeafRange;  // a node is the range of leaves below it

int64_t split_of(Node node);  // first leaf of the right child; node.size() ≥ 2
bool are_siblings(Node left, Node right,
                  int64_t leaves);  // the two children of one node of the tree over `leaves`
std::vector<Node> maximal_subtrees(LeafRange owned, int64_t leaves);  // in order of leaves

// A node and the sum of the leaves below it.
struct Part {
  Node node;
  torch::Tensor sum;
};

// The sum of `node` from parts that cover it, each a node of the tree, in tree order. Adds in place: sums of
// parts are overwritten, and the result is one of them. Throws Error if the parts do not cover the node.
torch::Tensor canonical_sum(Node node, const std::vector<Part>& parts);

// The same for scalars of every leaf, in double precision: values[i] belongs to leaf i. Empty: 0.
double canonical_sum(const std::vector<double>& values);

// Adds up leaves that arrive in order, as a binary counter does: at most log₂ M buffers are in use.
class LeafAccumulator {
 public:
  LeafAccumulator(int64_t leaves, int64_t elements, torch::Device device);
  void reset();
  // `deposit(buffer, accumulate)` writes the leaf's values into the buffer (elements), or adds them to what
  // is there. Leaves come in ascending order without gaps. The gaps of a buffer that no deposit writes stay
  // zero.
  template <typename Deposit>
  void add(int64_t leaf, Deposit&& deposit) {
    const bool joins = !parts_.empty() && are_siblings(parts_.back().node, {leaf, leaf + 1}, leaves_);
    if (!joins) push(leaf);
    deposit(parts_.back().sum, joins);
    if (joins) parts_.back().node.end = leaf + 1;
    merge();
  }
  const std::vector<Part>& parts() const { return parts_; }

 private:
  void push(int64_t leaf);
  void merge();
  int64_t leaves_, elements_;
  torch::Device device_;
  std::vector<Part> parts_;
  std::vector<torch::Tensor> spare_;
};

}  // namespace elbo
