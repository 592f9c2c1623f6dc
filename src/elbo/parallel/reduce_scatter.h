// The reduce-scatter of one bucket of gradients, in the order of the tree over the microbatches (tree_sum.h),
// level by level (levels.h): on each level ranks exchange the sums of maximal subtrees with all-to-alls, and
// each adds its part of them as far as the tree allows. On two levels the microbatches of a node are
// contiguous, so its sums are those of the maximal subtrees of a range, too: where an addition happens
// changes, which additions happen does not.
#pragma once
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/parallel/levels.h"
#include "elbo/parallel/tree_sum.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// What is exchanged on a level, by the ranks of this rank's communicator.
struct LevelSums {
  std::vector<std::vector<Node>> sent;  // by each of them
  std::vector<Node> merged;             // the maximal subtrees of all their microbatches
  size_t rounds() const;                // of messages: the largest number that one of them sends
};
std::vector<LevelSums> sums_of_levels(const Levels& levels, int64_t microbatches);

class ReduceScatter {
 public:
  // sums: sums_of_levels(). Both outlive the object. elements: of the bucket, in whole blocks; options: of
  // its tensors.
  ReduceScatter(const Levels& levels, const std::vector<LevelSums>& sums, int64_t elements,
                torch::TensorOptions options);

  // own: this rank's sums (elements), one for each maximal subtree of its microbatches; they are overwritten.
  // Starts the messages of the innermost level. Collective, like next().
  void start(std::vector<PartialSum> own);
  size_t level() const { return level_; }
  bool last() const { return level_ + 1 == levels_.count(); }
  bool done();  // the messages of the present level have arrived; drives progress
  // Waits for them, adds them and starts the next level. workers: share the additions; null within a task.
  void next(Workers* workers);
  // Waits for the messages of the last level: this rank's shard of the sum over all microbatches.
  torch::Tensor finish(Workers& workers);

 private:
  void start_messages();
  // Waits for the messages of the present level: the sums of this rank's part, of all its members.
  std::vector<PartialSum> arrived();

  const Levels& levels_;
  const std::vector<LevelSums>& sums_;
  int64_t elements_;
  torch::TensorOptions options_;
  size_t level_ = 0;
  IndexRange whole_, part_;      // elements that the present level divides, and this rank's part of them
  std::vector<PartialSum> own_;  // (whole_), the sums that this rank sends
  std::vector<std::unique_ptr<Work>> pending_;        // one for each round
  std::vector<std::vector<torch::Tensor>> received_;  // (levels, rounds)
};

}  // namespace elbo
