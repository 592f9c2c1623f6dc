// From the gradients of leaves, computed by many workers on many ranks, to one updated model on every rank:
// the construction of docs/reproducibility.md. Each rank adds its leaves as far as the tree allows, slices of
// the sums travel all-to-all, the owner of a slice adds them in tree order, an optimiser updates the slice,
// an all-gather publishes it.
//
// Every rank makes the same calls; add() is the only one that workers call.
//
// Two worlds of the same ranks: `bulk` moves gradients and parameters where they are (on a GPU: NCCL), `host`
// the scalars.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/leaves.h"
#include "comm/communicator.h"
#include "parallel/arena.h"
#include "parallel/tree_sum.h"
#include "parallel/workers.h"

namespace elbo {

// What all ranks know alike after a phase of a step.
struct StepSums {
  std::vector<std::string> names;            // of the scalars, as the model reports them
  std::vector<double> scalars;               // each summed over all leaves, in leaf order
  double gradient_norm = 0;                  // Euclidean, over the phase's parameters, before clipping
  torch::Tensor statistics;                  // (s), summed over all leaves; undefined where there are none
  std::vector<std::vector<double>> notices;  // what each rank had to say, in order of rank
};

// The sum over all leaves, on every rank, from each rank's sums of the maximal subtrees of its leaves, (n) on
// the CPU. Collective.
torch::Tensor sum_over_ranks(Communicator& comm, const std::vector<Part>& own, int64_t leaves,
                             torch::IntArrayRef shape, torch::ScalarType type);

class Exchange {
 public:
  // leaves: M. exact = false: the library's all-reduce in place of the canonical sum, and a whole update on
  // every rank.
  Exchange(Communicator& host, Communicator& bulk, Workers& workers, Arena& arena, size_t phases,
           int64_t leaves, bool exact);

  LeafRange leaves_of_rank() const { return share_of({0, leaves_}, host_.rank(), host_.size()); }
  LeafRange leaves_of_worker(int worker) const {
    return share_of(leaves_of_rank(), worker, workers_.count());
  }

  void begin(size_t phase);

  // Takes over the gradients of the parameters of `replica` (in order of registration) for one leaf and
  // leaves them undefined; parameters outside of the phase are only cleared. `scalars`, named by `names`, are
  // sums over the leaf's samples, and so are `statistics` (s), which may be undefined. A worker's leaves come
  // in ascending order.
  void add(size_t phase, int worker, int64_t leaf, std::vector<torch::Tensor>& replica,
           const std::vector<std::string>& names, std::vector<double> scalars,
           const torch::Tensor& statistics = {});

  // Sums over all leaves; afterwards gradient() holds this rank's slice. Collective. `notice`: as many
  // numbers on each rank.
  StepSums finish(size_t phase, const std::vector<double>& notice);

  ElementRange slice(size_t phase) const;  // of the arena, owned by this rank; whole blocks
  torch::Tensor gradient(size_t phase) const { return phases_[phase].gradient; }  // (slice)
  void publish(size_t phase);  // the updated slices of all ranks, into the arena. Collective.

  // All ranks' slices of something laid out like the parameters (optimiser state): (range of the phase).
  // Collective.
  torch::Tensor gather(size_t phase, const torch::Tensor& slice) const;

 private:
  struct PhaseState {
    ElementRange range;                                      // in the arena
    std::vector<LeafAccumulator> workers;                    // sums of each worker's leaves
    std::vector<std::optional<LeafAccumulator>> statistics;  // likewise, from a worker's first leaf with some
    int64_t statistics_size = 0;
    std::vector<torch::Tensor> received;  // one a round: the slices of all ranks' subtrees
    torch::Tensor gradient;
    std::vector<std::string> names;
    bool form_agreed = false;  // names and the size of the statistics
  };
  ElementRange slice_of(size_t phase, int rank) const;
  std::vector<int64_t> slice_sizes(size_t phase) const;
  std::vector<Part> sum_own_leaves(PhaseState& state);
  void exchange_slices(size_t phase, const std::vector<Part>& own);
  void reduce_by_library(size_t phase, std::vector<Part> own);
  // Runs canonical_sum(node) over the elements of [0, elements), shared among the workers; the result is the
  // first part's tensor.
  torch::Tensor sum_in_parallel(Node node, const std::vector<Part>& parts, int64_t elements);
  void agree_on_form(PhaseState& state);
  torch::Tensor sum_statistics(PhaseState& state);

  Communicator& host_;
  Communicator& bulk_;
  Workers& workers_;
  Arena& arena_;
  int64_t leaves_;
  bool exact_;
  std::vector<PhaseState> phases_;
  std::vector<std::vector<double>> scalars_;  // of each leaf of this rank
};

}  // namespace elbo
