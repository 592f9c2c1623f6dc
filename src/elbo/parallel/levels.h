// Levels of communication between ranks. On one level, every rank sends to every other rank. On two, the
// ranks of a node exchange first, then ranks with the same local rank on all nodes: fewer messages, and only
// a node's sums travel between nodes (as in hierarchical all-reduce, e.g. NCCL's and Horovod's).
//
// A reduce-scatter goes from the innermost level outwards, an all-gather from the outermost inwards. So
// shards are in the order of order(): the innermost level divides a buffer first.
#pragma once
#include <torch/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/comm/communicator.h"

namespace elbo {

// All communicators outlive the object.
class Levels {
 public:
  Levels(Communicator& world) : world_(&world), comms_{&world} {}  // one level
  // within: the ranks of this node. across: the ranks with this local rank on all nodes, in order of node.
  // The rank in `world` is node · within.size() + local rank.
  Levels(Communicator& world, Communicator& within, Communicator& across)
      : world_(&world), comms_{&within, &across} {}

  Communicator& world() const { return *world_; }
  int rank() const { return world_->rank(); }
  int size() const { return world_->size(); }

  size_t count() const { return comms_.size(); }
  Communicator& operator[](size_t level) const { return *comms_[level]; }  // innermost first
  std::vector<int> sizes() const;                                          // of the levels
  int place(int rank, size_t level) const;  // the rank of `rank` in its communicator of the level
  std::vector<int> order() const;           // the ranks in the order of their shards

  // all: counts[r] elements of each rank r, end to end in order(); this rank's are at their place.
  // Collective.
  void all_gather(torch::Tensor all, const std::vector<int64_t>& counts) const;

 private:
  Communicator* world_;
  std::vector<Communicator*> comms_;
};

// Such an all-gather in progress: a collective on each level, the outermost first.
class LevelGather {
 public:
  // Starts the first collective. `levels` outlives the object.
  LevelGather(const Levels& levels, torch::Tensor all, std::vector<int64_t> counts);
  size_t started() const { return levels_.count() - level_; }  // collectives, 1 … levels
  bool last() const { return level_ == 0; }                    // the last collective has been started
  bool done() { return work_->done(); }                        // the collective started last is
  void next();                                                 // waits for it and starts the next
  void wait() { work_->wait(); }

 private:
  void start();
  const Levels& levels_;
  torch::Tensor all_;
  std::vector<int64_t> counts_;
  size_t level_;
  std::unique_ptr<Work> work_;
};

}  // namespace elbo
