// The training loop and what it holds. Every rank runs the same steps and the same collectives; what differs
// is which leaves it computes and which slice of the parameters it updates.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/comm/environment.h"
#include "elbo/data/dataset.h"
#include "elbo/data/loader.h"
#include "elbo/models/model.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/parallel/gradient_reducer.h"
#include "elbo/parallel/workers.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"
#include "elbo/train/coordinator.h"
#include "elbo/optim/optimizer.h"
#include "elbo/run/run_directory.h"
#include "elbo/train/stop_request.h"

namespace elbo {

struct TrainOutcome {
  int64_t step = 0;         // updates that the parameters have behind them
  std::string fingerprint;  // of the parameters
  bool stopped = false;     // before its end, on request, with its state saved
};

class Trainer {
 public:
  // Checks everything that can be checked before the first step, and throws what is wrong. `config` outlives
  // the trainer. Collective, like run(). check: nothing is written, and run() is not to be called.
  enum class Purpose { train, check };
  Trainer(const Environment& environment, RunConfig& config, Purpose purpose = Purpose::train);

  int64_t workers() const { return workers_->count(); }  // of this rank
  int64_t phases() const { return static_cast<int64_t>(phases_.size()); }
  int64_t parameters() const { return flat_parameters_->values().numel(); }
  const Buckets& buckets(size_t phase) const { return reducer_->buckets(phase); }

  std::string plan() const;  // what run() would do, in some lines for people

  // Trains to the end or to a request to stop. Throws Error where training diverges or a checkpoint cannot be
  // written.
  TrainOutcome run(const StopRequest& stop);

 private:
  bool uses_nccl() const;
  void make_nccl_world(const Environment& environment);
  void require_same_run(const Checkpoint& start) const;
  void make_replicas();
  void share_buffers();
  void make_reducer();
  void make_optimizers();
  void make_loader();

  StepReport take_step(int64_t step, const StopRequest& stop);
  MicrobatchReport compute_microbatch(size_t phase, int64_t step, int64_t microbatch, int worker);
  // Adds what the ranks said with this phase's sums to the report, and updates the parameters where they can
  // be used.
  void update(size_t phase, int64_t step, const StepSums& sums, StepReport& report);
  void count_skipped(int64_t done, const StepReport& report);
  [[noreturn]] void fail_as_diverged(int64_t done) const;
  bool evaluate(int64_t done, const StopRequest& stop);  // false: broken off on request
  void save(int64_t done);
  Checkpoint collect(int64_t done);
  int64_t steps_of_run() const;
  void begin_to_write();

  RunConfig& config_;
  std::unique_ptr<Communicator> host_;
  std::unique_ptr<Communicator> nccl_;  // none on CPUs
  std::unique_ptr<RunLock> lock_;       // rank 0's
  torch::Device device_ = torch::kCPU;
  std::optional<Checkpoint> start_;  // where the run goes on; only while the trainer is made
  Dataset dataset_;
  const RowSource& rows_;
  std::vector<Phase> phases_;
  std::unique_ptr<Workers> workers_;
  std::vector<std::shared_ptr<Model>> replicas_;  // of each worker; their parameters are views of the arena
  std::unique_ptr<FlatParameters> flat_parameters_;
  std::unique_ptr<GradientReducer> reducer_;
  std::vector<Optimizer> optimizers_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<Batch> batches_;       // this rank's leaves of the step
  bool best_ = false;                // the parameters are the best so far, and not saved yet
  bool evaluation_pending_ = false;  // of the last step
  int64_t first_step_ = 0, end_step_ = 0, saved_step_ = -1, skipped_ = 0;
};

}  // namespace elbo
