// Deterministic data parallelism with gradient accumulation over microbatches. In a step
//   1. each rank runs the microbatches of its partition and accumulates their gradients (local_gradients.h);
//   2. a reduce-scatter adds the gradients of all ranks in a fixed order, a binary tree over the step's
//      microbatches that does not depend on the rank that computed them (tree_sum.h);
//   3. each rank updates its shard with a sharded optimiser (ZeRO stage 1, Rajbhandari et al. 2020);
//   4. an all-gather of parameters completes the model on every rank.
//
// Gradients are reduced in buckets, overlapped with the backward pass (buckets.h), and the all-gather of
// parameters overlaps with the next forward pass (parameter_gather.h). The reduce-scatter moves partial sums
// with all-to-alls and adds them on the rank that owns the shard, because the order of additions of
// MPI_Reduce_scatter and of NCCL depends on the number of ranks.
//
// Prior art: ReproRed and its KaMPIng plug-in (2026) for reproducible sums over MPI ranks; EasyScale (SC'23,
// no public code) for training that is consistent on varying numbers of GPUs; Levanter and Megatron-LM, which
// are deterministic for a fixed layout of ranks. docs/reproducibility.md states what is promised here.
//
// Every rank makes the same calls. Two sets of communicators of the same ranks: `device` moves gradients and
// parameters in the memory where they are (NCCL on GPUs), `cpu` moves scalars in host memory. Both may have
// two levels: the ranks of a node, and between nodes (levels.h).
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/base/stopwatch.h"
#include "elbo/parallel/buckets.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/parallel/levels.h"
#include "elbo/parallel/local_gradients.h"
#include "elbo/parallel/parameter_gather.h"
#include "elbo/parallel/reduce_scatter.h"
#include "elbo/parallel/workers.h"

namespace elbo {

struct GradientReducerOptions {
  int64_t microbatches = 1;  // M, of a step, all ranks together
  // true: reproducible sums and sharded updates. false: the library's all-reduce, and every rank updates all
  // parameters.
  bool exact = true;
  int64_t bucket_bytes = 0;  // minimum size of a bucket; 0: one bucket per phase
};

// The results of a phase of a step; identical on all ranks.
struct StepSums {
  std::vector<std::string> names;  // of the scalars, as the model reports them
  std::vector<double> scalars;     // summed over all microbatches, in their order
  double gradient_norm = 0;        // Euclidean norm over the phase's parameters, before clipping
  torch::Tensor statistics;  // (s) float32, summed over all microbatches; undefined if the model has none
  std::vector<std::vector<double>> rank_status;  // the `status` of each rank
  std::vector<double> block_sums;  // of the phase's range: each block's, as its owner gave it to finish()
};

class GradientReducer {
 public:
  // replicas: see LocalGradients. The other arguments must outlive this object.
  GradientReducer(const Levels& cpu, const Levels& device, Workers& workers, FlatParameters& flat_parameters,
                  std::vector<std::vector<torch::Tensor>> replicas, size_t phases,
                  const GradientReducerOptions& options);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  // This rank's partition of the step's microbatches.
  IndexRange local_microbatches() const {
    return partition({0, options_.microbatches}, cpu_.rank(), cpu_.size());
  }

  // Runs `task` for each microbatch of this rank, in parallel on the workers, and starts the reduction of
  // complete early buckets. Collective.
  void compute(size_t phase, const LocalGradients::Task& task);
  // Seconds of the last compute() after the reduction of the first bucket started.
  double overlapped_seconds() const { return overlapped_seconds_; }
  // Seconds of the last compute() before worker 0 had a gradient: a forward pass, with waiting for
  // parameters.
  double forward_seconds() const { return forward_seconds_.value_or(0); }

  // Completes the sums over all microbatches; afterwards gradient() holds this rank's shards. status: numbers
  // that all ranks receive, the same count on every rank. block_sums: a number for each block of this rank's
  // shards, end to end; -1 if none is given. Collective.
  StepSums finish(size_t phase, const std::vector<double>& status, std::vector<double> block_sums = {});

  const Buckets& buckets(size_t phase) const;
  // This rank's shard of each bucket: views of the flat parameters, and the gradients of the last finish().
  std::vector<torch::Tensor> shard(size_t phase);
  const std::vector<torch::Tensor>& gradient(size_t phase) const;

  // Starts the all-gather of the phase's parameters, which overlaps with what follows. Collective.
  void start_all_gather(size_t phase);
  // Call before elements of the flat parameters are used: waits until they are up to date. A worker may call
  // it within its task; otherwise only the thread that calls the other functions may.
  void await_parameters(IndexRange elements, int worker = 0);
  void await_all_parameters();  // not within a task
  // Seconds that the worker that waited longest was in await_parameters() since the last call.
  double take_waited_seconds();

  // This rank's shards, end to end, of a tensor with the layout of the phase's range.
  torch::Tensor select(size_t phase, const torch::Tensor& whole) const;
  // The inverse: the whole tensor from the shards of all ranks. Collective.
  torch::Tensor gather(size_t phase, const torch::Tensor& shard) const;

 private:
  struct PhaseState;
  // Starts the reduction of complete early buckets and drives progress of those started. Returns whether all
  // early buckets are reduced.
  bool advance(PhaseState& state);
  void start_next_bucket(PhaseState& state);
  // Completes all buckets: this rank's shards of the sums.
  void sum_buckets(PhaseState& state);
  void agree_on_report_layout(PhaseState& state);
  torch::Tensor sum_statistics(PhaseState& state);
  StepSums gather_scalars(PhaseState& state, const std::vector<double>& squares,
                          const std::vector<double>& block_sums, const std::vector<double>& status);
  // The numbers of the blocks of a rank's shards, end to end from `at` on, at their places in the phase's
  // range.
  void place_blocks(const Buckets& buckets, int rank, const double* at, std::vector<double>& range) const;

  Levels cpu_, device_;
  Workers& workers_;
  FlatParameters& flat_parameters_;
  GradientReducerOptions options_;
  std::vector<Buckets> buckets_;  // (phases)
  LocalGradients local_;
  std::vector<LevelSums> level_sums_;
  std::vector<std::unique_ptr<PhaseState>> phases_;
  std::optional<Stopwatch> since_first_bucket_;
  double overlapped_seconds_ = 0;
  Stopwatch since_start_;
  std::optional<double> forward_seconds_;
  ParameterGather gather_;
  std::mutex communicating_;            // communicators take calls of one thread at a time
  std::vector<double> waited_seconds_;  // (workers)
};

}  // namespace elbo
