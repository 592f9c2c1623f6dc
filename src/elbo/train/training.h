// A run that trains: everything that the loop needs, opened and checked in order. The only place that knows
// all parts.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "elbo/comm/environment.h"
#include "elbo/data/dataset.h"
#include "elbo/data/loader.h"
#include "elbo/parallel/host_levels.h"
#include "elbo/parallel/workers.h"
#include "elbo/run/opened_run.h"
#include "elbo/train/checkpoint_manager.h"
#include "elbo/train/data_parallel_step.h"
#include "elbo/train/metrics_writer.h"
#include "elbo/train/run_events.h"
#include "elbo/train/stop_request.h"
#include "elbo/train/time_limit.h"

namespace elbo {

struct TrainOutcome {
  int64_t step = 0;         // updates that were made
  std::string fingerprint;  // of the parameters
  bool stopped = false;     // before its end, on request, with its state saved
};

class Training {
 public:
  // Throws whatever can be found to be wrong before the first step. `config` and `environment` outlive the
  // object. Collective, like run().
  Training(const Environment& environment, RunConfig& config);
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  const RunPlan& plan() const { return run_.plan; }
  const DataParallelStep& step() const { return *step_; }
  int workers() const { return workers_.count(); }  // of this rank

  // Stops before the end on request, or ahead of run.time_limit after `started`.
  TrainOutcome run(const StopRequest& stop, TimeLimit::Clock::time_point started);

 private:
  std::vector<std::shared_ptr<Model>> make_replicas();
  DataParallelOptions step_options() const;
  LoaderOptions loader_options(int64_t first_step) const;
  std::optional<Progress> go_back();
  bool train_from(Progress& progress, const StopRequest& stop, TimeLimit::Clock::time_point started);

  RunConfig& config_;
  OpenedRun run_;
  std::unique_ptr<Communicator> nccl_;  // none on CPUs
  HostLevels levels_;
  Workers workers_;
  std::vector<RankPlace> places_;
  std::unique_ptr<DataParallelStep> step_;
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<RunEvents> events_;
  std::unique_ptr<MetricsWriter> metrics_;
  std::unique_ptr<CheckpointManager> checkpoints_;
};

}  // namespace elbo
