// The training loop.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "elbo/eval/evaluate.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/run_plan.h"
#include "elbo/train/checkpoint_manager.h"
#include "elbo/train/data_parallel_step.h"
#include "elbo/train/metrics_writer.h"
#include "elbo/train/run_events.h"

namespace elbo {

// What the loop asks of the world around it.
struct TrainInputs {
  DataParallelStep::Data data;        // microbatches
  std::function<double()> data_wait;  // seconds that workers have waited for them
  std::function<std::optional<Evaluation>()>
      evaluate;                          // the present model; none: interrupted on request. Collective
  std::function<bool()> stop_requested;  // of this rank
  std::vector<RankPlace> places = {{}};  // of all ranks
  // Writes samples of the present model after that number of updates, on the root; the files. Collective.
  std::function<std::vector<std::filesystem::path>(int64_t step)> samples = [](int64_t) {
    return std::vector<std::filesystem::path>();
  };
  // Restores the state of the newest valid checkpoint; none: there is no checkpoint. Collective.
  std::function<std::optional<Progress>()> go_back = [] { return std::optional<Progress>(); };
};

// Trains from `progress` to the plan's end or to a request to stop on any rank, and keeps `progress` up to
// date. Where the memory of a rank is damaged, or training has diverged for the first time, it goes back to
// the last checkpoint. Returns whether it was stopped before the end, with its state saved. Throws Error
// where training diverges or the last checkpoint cannot be written. Collective.
bool train(const RunPlan& plan, Progress& progress, DataParallelStep& step, const TrainInputs& inputs,
           MetricsWriter& metrics, CheckpointManager& checkpoints, RunEvents& events);

}  // namespace elbo
