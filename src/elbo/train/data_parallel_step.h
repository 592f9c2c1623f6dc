// One optimiser step of data-parallel training: gradient accumulation over the step's microbatches on all
// workers of all ranks, a deterministic reduce-scatter, an update of each rank's shard (ZeRO stage 1), an
// all-gather of the parameters, which overlaps with the next forward pass: a layer waits for its parameters
// at their first use. It knows no files: microbatches come from a function.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/comm/communicator.h"
#include "elbo/comm/cuda_library.h"
#include "elbo/data/batch.h"
#include "elbo/kernels/packed_factors.h"
#include "elbo/models/model.h"
#include "elbo/optim/optimizer.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/parallel/gradient_reducer.h"
#include "elbo/parallel/workers.h"
#include "elbo/run/checkpoint.h"
#include "elbo/train/optimizer_snapshot.h"
#include "elbo/train/rank_times.h"

namespace elbo {

struct DataParallelOptions {
  int64_t batch = 0, microbatch = 0;  // B samples in M = B / m microbatches
  uint64_t seed = 0;
  torch::ScalarType precision = torch::kFloat32;  // of the products in layers
  bool exact = true;                              // see GradientReducerOptions
  int64_t bucket_bytes = 0;
  OptimizerOptions optimizer{};
  int64_t end_step = 0;  // of the run, for the learning rate's schedule
};

// What a rank reports to all ranks with a step's gradients.
struct RankStatus {
  bool stop = false;     // it was asked to stop
  bool save = false;     // it asks for a checkpoint
  bool piece = false;    // it asks for the next piece of the checkpoint that it writes
  double data_wait = 0;  // seconds that its workers have waited for data since the start
};

// Where the seconds of a step went.
struct StepSeconds {
  double compute = 0;     // microbatches without waiting for parameters, on the slowest rank
  int slowest_rank = 0;   // in the last phase
  double rank_0 = 0;      // microbatches, on rank 0
  double fastest = 0;     // microbatches, on the fastest rank
  double forward = 0;     // forward pass of a microbatch, on the slowest rank
  double overlapped = 0;  // part of `compute` after the first reduce-scatter began
  double exchange =
      0;  // reduce-scatter and scalars, rank 0's, after its microbatches; includes waiting for others
  double update = 0;   // of this rank's shard
  double publish = 0;  // all-gather of the parameters, rank 0's: its start, and waiting at their next use
};

// One step, as all ranks know it. Losses and terms are in nats per sample.
struct StepReport {
  std::string phase;  // the first that took part, whose loss and gradient norm these are
  double loss = 0;
  std::vector<std::pair<std::string, double>> terms;
  double gradient_norm = 0;  // before clipping
  int phases = 0;            // that took part
  double lr = 0;
  bool finite = true;    // loss and gradient are, and the parameters were updated
  bool spike = false;    // they were not, as the loss was above set_loss_limit()
  bool stop = false;     // some rank was asked to stop
  bool save = false;     // some rank asks for a checkpoint
  bool piece = false;    // rank 0 asks for the next piece of the checkpoint that it writes
  double data_wait = 0;  // the largest of all ranks
  StepSeconds seconds;
  std::vector<RankSeconds> ranks;
  std::optional<DeviceMemory> memory;  // of rank 0's GPU
};

class DataParallelStep {
 public:
  // A microbatch of a step; called by many workers at once, once for each microbatch of the rank.
  using Data = std::function<Batch(int64_t step, int64_t microbatch)>;

  // cpu moves scalars, device gradients and parameters, on one or two levels; they may be the same. replicas:
  // a model for each worker, on the device that computes. Collective: rank 0's parameters and buffers go to
  // all replicas of all ranks. All arguments but options outlive the object.
  DataParallelStep(const Levels& cpu, const Levels& device, Workers& workers,
                   std::vector<std::shared_ptr<Model>> replicas, const DataParallelOptions& options);
  ~DataParallelStep();
  DataParallelStep(const DataParallelStep&) = delete;
  DataParallelStep& operator=(const DataParallelStep&) = delete;

  Communicator& comm() const { return world_; }
  IndexRange local_microbatches() const { return reducer_.local_microbatches(); }

  // Takes step number `step` (from 0). Collective. status() is called after each phase's microbatches. Where
  // loss or gradient are not finite, parameters stay as they are.
  StepReport take(int64_t step, const Data& data, const std::function<RankStatus()>& status);

  // Copies the checkpoint's optimizer states into this rank's shards; parameters and buffers are the
  // replicas' (load_into). Throws Error where one is missing; `where` names the checkpoint.
  void load_optimizer(const Checkpoint& checkpoint, const std::string& where);
  // Puts fingerprint, parameters and buffers into the checkpoint: views, which training changes. Collective.
  void collect(Checkpoint& checkpoint);
  // A copy of this rank's optimizer states, which outlives further steps, but not the object.
  OptimizerSnapshot snapshot_optimizer(int64_t piece_bytes = OptimizerSnapshot::default_piece_bytes) const;

  // Replaces parameters, buffers and optimizer states by those of the checkpoint.
  void restore(const Checkpoint& checkpoint, const std::string& where);
  // The learning rate of the schedule is multiplied by it.
  void set_lr_factor(double factor) { lr_factor_ = factor; }

  // A step whose loss is above it changes no parameters, like one that is not finite. Of the first of all
  // phases.
  void set_loss_limit(double limit) { loss_limit_ = limit; }

  // What must not have changed in this rank's memory between two updates and has: "values of
  // encoder.0.weight", "optimizer states of …", "a copy of values of …" that another rank owns, or "". Found
  // by the next step, on CPUs only; optimizer states by the next update.
  std::string own_damage() const;
  // Finds what has changed since the last update, too.
  void check_memory();
  LossTerms objective(size_t phase, int64_t step, int64_t microbatch, Model& replica,
                      const Batch& batch) const;

  // The microbatches of this rank's last step, and their objective again.
  const std::vector<Batch>& batches() const { return batches_; }
  LossTerms recompute(size_t phase, int64_t step, int64_t microbatch) const;
  // The first parameter of this rank's shards whose gradient in the last step is not finite, or "".
  std::string nonfinite_gradient(size_t phase);

  // These wait for parameters that are in transit after a step.
  const torch::Tensor& values();  // of all parameters
  // The moving average of all parameters, of each from the first phase that updates it; undefined without
  // optimizer.ema. Collective.
  torch::Tensor average();
  std::string fingerprint();
  bool finite();  // whether all parameters are
  const std::vector<std::shared_ptr<Model>>& replicas();
  const std::vector<Phase>& phases() const { return phases_; }
  const Buckets& buckets(size_t phase) const { return reducer_.buckets(phase); }

 private:
  // Layers wait for their parameters at each use. The step itself waits for those of other modules, eager_.
  void hook_layers();
  const std::string& name_at(int64_t element) const;  // of the parameter, by its place in the flat parameters
  bool owns(int64_t element) const;  // of the flat parameters: whether it is in a shard of this rank
  MicrobatchReport compute_microbatch(size_t phase, int64_t step, int64_t microbatch, int worker,
                                      const Data& data);
  // Adds what all ranks reported in this phase, and updates the shard if loss and gradient are finite.
  void update(size_t phase, int64_t step, const StepSums& sums, StepReport& report);
  // Compares the bits of the phase's parameters with those that their owners have kept.
  void check_copies(size_t phase, const std::vector<double>& block_sums);
  bool shares_parameters(size_t phase) const;  // with another phase, whose updates change them, too
  // Calls visit(name, item, range of the phase) for each parameter of each state of each phase's optimizer.
  template <typename Visit>
  void for_each_state(size_t phase, const std::string& state, Visit&& visit) const;

  Communicator& world_;  // in host memory
  Workers& workers_;
  std::vector<std::shared_ptr<Model>> replicas_;  // their parameters are views of flat_parameters_
  DataParallelOptions options_;
  torch::Device device_;
  std::vector<Phase> phases_;
  FlatParameters flat_parameters_;
  PackedFactors packed_weights_;  // during forward and backward passes
  GradientReducer reducer_;
  std::vector<IndexRange> eager_;      // of the flat parameters
  std::vector<Optimizer> optimizers_;  // of each phase
  std::vector<Batch> batches_;         // of this rank's microbatches; phases of a step share them
  int64_t damaged_copy_ = -1;          // element of the flat parameters, of a block that has changed
  double lr_factor_ = 1;
  double loss_limit_ = std::numeric_limits<double>::infinity();
};

// While it exists, the parameters of all replicas are their moving average, if there is one. Made on all
// ranks; no step is taken meanwhile.
class AveragedParameters {
 public:
  explicit AveragedParameters(DataParallelStep& step);
  ~AveragedParameters();
  AveragedParameters(const AveragedParameters&) = delete;
  AveragedParameters& operator=(const AveragedParameters&) = delete;

 private:
  torch::Tensor values_, kept_;
};

}  // namespace elbo
