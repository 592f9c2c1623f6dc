// From the gradients of leaves, computed by many workers on many ranks, to one updated model on every rank:
// the construction of docs/reproducibility.md. Each rank adds its leaves as far as the tree allows
// (rank_sums.h), slices of the sums travel all-to-all, the owner of a slice adds them in tree order, an
// optimiser updates the slice, an all-gather publishes it. A bucket (buckets.h) goes on its way as soon as
// the rank's sums of it are complete, while the backward pass works on the next.
//
// Every rank makes the same calls.
//
// Two worlds of the same ranks: `bulk` moves gradients and parameters where they are (on a GPU: NCCL), `host`
// the scalars.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/base/stopwatch.h"
#include "elbo/comm/communicator.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/parallel/buckets.h"
#include "elbo/parallel/local_gradients.h"
#include "elbo/parallel/tree_sum.h"
#include "elbo/parallel/workers.h"

namespace elbo {

struct GradientReducerOptions {
  int64_t microbatches = 1;        // M
  bool exact = true;         // false: the library's all-reduce in place of the canonical sum, and a whole
                             // update on every rank
  int64_t bucket_bytes = 0;  // 0: each phase in one bucket
};

// What all ranks know alike after a phase of a step.
struct StepSums {
  std::vector<std::string> names;            // of the scalars, as the model reports them
  std::vector<double> scalars;               // each summed over all leaves, in leaf order
  double gradient_norm = 0;                  // Euclidean, over the phase's parameters, before clipping
  torch::Tensor statistics;                  // (s), summed over all leaves; undefined where there are none
  std::vector<std::vector<double>> rank_status;  // what each rank had to say, in order of rank
};

class GradientReducer {
 public:
  // replicas: see LocalGradients.
  GradientReducer(Communicator& host, Communicator& device_comm, Workers& workers, FlatParameters& flat_parameters,
           std::vector<std::vector<torch::Tensor>> replicas, size_t phases, const GradientReducerOptions& options);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  IndexRange local_microbatches() const { return partition({0, options_.microbatches}, host_.rank(), host_.size()); }

  // Every worker runs the task for each of its leaves.
  void compute(size_t phase, const LocalGradients::Task& task);
  // Of the last compute(): for how long the first buckets were on their way already, seconds.
  double overlapped_seconds() const { return overlapped_seconds_; }

  // Sums over all leaves; afterwards gradient() holds what this rank owns. Collective. `notice`: as many
  // numbers on each rank.
  StepSums finish(size_t phase, const std::vector<double>& status);

  const Buckets& buckets(size_t phase) const;
  // What this rank owns of a phase, bucket by bucket: views of the arena, and their gradients.
  std::vector<torch::Tensor> shard(size_t phase);
  const std::vector<torch::Tensor>& gradient(size_t phase) const;
  void all_gather_parameters(size_t phase);  // what all ranks own, into the arena. Collective.

  // From a tensor laid out like the phase's range what this rank owns, end to end; and, collective, back.
  torch::Tensor select(size_t phase, const torch::Tensor& whole) const;
  torch::Tensor gather(size_t phase, const torch::Tensor& shard) const;

 private:
  struct PhaseState;
  // Sends off what is complete of all buckets but the last, and moves on what is under way; whether nothing
  // is left to do.
  bool advance(PhaseState& state);
  void post(PhaseState& state);
  void post_reduce_scatter(PhaseState& state, size_t bucket, const std::vector<Part>& own);
  void post_all_reduce(PhaseState& state, size_t bucket, const std::vector<Part>& own);
  // What this rank owns of a bucket whose transfers are done.
  torch::Tensor sum_bucket(PhaseState& state, size_t bucket);
  void agree_on_form(PhaseState& state);
  torch::Tensor sum_statistics(PhaseState& state);

  Communicator& host_;
  Communicator& device_comm_;
  Workers& workers_;
  FlatParameters& flat_parameters_;
  GradientReducerOptions options_;
  std::vector<Buckets> buckets_;  // of each phase
  LocalGradients sums_;
  std::vector<std::vector<Node>> subtrees_;  // of each rank
  std::vector<std::unique_ptr<PhaseState>> phases_;
  std::optional<Stopwatch> under_way_;  // since the step's first bucket went
  double overlapped_seconds_ = 0;
};

}  // namespace elbo
