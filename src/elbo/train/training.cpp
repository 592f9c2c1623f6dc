#include "elbo/train/training.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/comm/on_root.h"
#include "elbo/eval/evaluate.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/run/device.h"
#include "elbo/run/saved_run.h"
#include "elbo/train/sample_writer.h"
#include "elbo/train/train.h"

namespace elbo {
namespace {

// None where gradients travel through host memory.
std::unique_ptr<Communicator> make_nccl_world(const Environment& environment, const RunConfig& config,
                                              const OpenedRun& run) {
  const std::vector<std::string> devices = devices_of_ranks(*run.world, environment, run.device);
  if (!uses_nccl(config.train.communication, devices)) return nullptr;
  try {
    return environment.make_nccl_world(*run.world, run.device, config.run.timeout);
  } catch (const Error& error) {
    // On CPUs only the tests' stand-in for NCCL works.
    if (run.device.is_cuda()) throw;
    usage_error(
        "train.communication=nccl: moves data between GPUs, and ranks compute on CPUs; use auto or mpi ({})",
        error.what());
  }
}

int workers_for(const Environment& environment, const RunConfig& config, const OpenedRun& run) {
  const IndexRange microbatches =
      partition({0, run.plan.microbatches()}, run.world->rank(), run.world->size());
  return worker_count(config.train.threads, environment, run.device, microbatches.size());
}

}  // namespace

Training::Training(const Environment& environment, RunConfig& config)
    : config_(config),
      run_(open_run_to_train(environment, config, OpenPurpose::train)),
      nccl_(make_nccl_world(environment, config, run_)),
      levels_(environment, *run_.world, config.run.timeout),
      workers_(workers_for(environment, config, run_)) {
  const Levels cpu = levels_.levels();
  step_ = std::make_unique<DataParallelStep>(cpu, nccl_ ? Levels(*nccl_) : cpu, workers_, make_replicas(),
                                             step_options());
  if (run_.start) step_->load_optimizer(*run_.start, run_.plan.directory);
  run_.start.reset();
  loader_ = std::make_unique<Loader>(run_.dataset.split("train"), loader_options(run_.plan.start.step));

  environment.keep_records_in(std::filesystem::path(run_.plan.directory) / "flight");
  const bool is_root = run_.world->rank() == 0;
  on_root<bool>(*run_.world, [&] {
    prepare_run_directory(run_.plan, run_.lock);
    run_.dataset.save_description(description_path(run_.plan.directory));
    return true;
  });
  for (const std::string& text :
       all_gather_text(*run_.world, fmt::format("{} {}", workers_.count(), environment.host()))) {
    const size_t space = text.find(' ');
    places_.push_back({.host = text.substr(space + 1), .workers = std::stoi(text.substr(0, space))});
  }
  metrics_ = std::make_unique<MetricsWriter>(run_.plan, is_root, places_);
  events_ = std::make_unique<RunEvents>(run_.plan, is_root);
  checkpoints_ = std::make_unique<CheckpointManager>(
      run_.plan, *run_.world,
      [this](int64_t step, bool is_best) { events_->after_checkpoint(step, is_best); });
}

std::vector<std::shared_ptr<Model>> Training::make_replicas() {
  std::vector<std::shared_ptr<Model>> replicas{std::move(run_.model)};
  while (static_cast<int>(replicas.size()) < workers_.count())
    replicas.push_back(build_model(config_, run_.plan.data, replicas.front()->transform(),
                                   run_.start ? &*run_.start : nullptr, run_.plan.directory));
  for (const auto& replica : replicas) replica->to(run_.device);
  return replicas;
}

DataParallelOptions Training::step_options() const {
  return {.batch = run_.plan.batch,
          .microbatch = run_.plan.microbatch,
          .seed = static_cast<uint64_t>(config_.train.seed),
          .precision = config_.train.precision == "bfloat16" ? torch::kBFloat16 : torch::kFloat32,
          .exact = config_.train.exact,
          .bucket_bytes = config_.train.bucket_bytes,
          .optimizer = config_.optimizer,
          .end_step = run_.plan.end_step};
}

LoaderOptions Training::loader_options(int64_t first_step) const {
  return {.batch = run_.plan.batch,
          .microbatch = run_.plan.microbatch,
          .microbatches = step_->local_microbatches(),
          .binarize = config_.data.binarize,
          .shuffle_buffer_bytes = config_.data.shuffle_buffer_bytes,
          .prefetch = config_.data.prefetch,
          .workers = workers_.count(),
          .seed = static_cast<uint64_t>(config_.train.seed),
          .first_step = first_step,
          .end_step = run_.plan.end_step,
          .timeout = config_.run.timeout,
          .pinned = run_.device.is_cuda(),
          .weights = run_.weights};
}

std::optional<Progress> Training::go_back() {
  const std::optional<Checkpoint> newest = broadcast_checkpoint(
      *run_.world, on_root<std::optional<Checkpoint>>(
                       *run_.world, [&] { return newest_valid_checkpoint(run_.plan.directory); }));
  if (!newest) return std::nullopt;
  loader_.reset();
  step_->restore(*newest, run_.plan.directory);
  loader_ = std::make_unique<Loader>(run_.dataset.split("train"), loader_options(newest->step));
  return Progress(*newest);
}

TrainOutcome Training::run(const StopRequest& stop, TimeLimit::Clock::time_point started) {
  Progress progress = run_.plan.start;
  try {
    const bool stopped = train_from(progress, stop, started);
    const char* const how = stopped                              ? "stopped"
                            : progress.step < run_.plan.end_step ? "early_stopping"
                                                                 : "finished";
    const TrainOutcome outcome{progress.step, step_->fingerprint(), stopped};
    events_->end({.step = outcome.step, .how = how, .fingerprint = outcome.fingerprint});
    return outcome;
  } catch (const Error& error) {
    events_->end({.step = progress.step, .how = "failed", .fingerprint = {}, .error = error.what()});
    throw;
  }
}

bool Training::train_from(Progress& progress, const StopRequest& stop, TimeLimit::Clock::time_point started) {
  const RunPlan& plan = run_.plan;
  // The root knows how long a checkpoint takes, and stops all ranks.
  TimeLimit limit(run_.world->rank() == 0 ? config_.run.time_limit : "never", started);
  const auto stop_requested = [&] { return stop.made() || limit.reached(checkpoints_->save_seconds()); };
  const auto evaluate_model = [&]() -> std::optional<Evaluation> {
    const AveragedParameters average(*step_);
    return evaluate(*run_.world, workers_, step_->replicas(), run_.dataset.split(plan.evaluation_split),
                    config_.evaluation(plan.data, plan.evaluation_split, plan.evaluate.importance_samples),
                    stop_requested);
  };
  std::optional<SampleWriter> samples;
  if (run_.world->rank() == 0 && !plan.evaluation_split.empty())
    samples.emplace(plan, run_.dataset.split(plan.evaluation_split), config_.data.binarize,
                    static_cast<uint64_t>(config_.train.seed));
  return train(
      plan, progress, *step_,
      {.data = [&](int64_t step, int64_t microbatch) { return loader_->microbatch(step, microbatch); },
       .data_wait = [&] { return loader_->waited_seconds(); },
       .evaluate = evaluate_model,
       .stop_requested = stop_requested,
       .places = places_,
       .samples =
           [&](int64_t step) {
             const AveragedParameters average(*step_);
             return samples ? samples->write(*step_->replicas().front(), step)
                            : std::vector<std::filesystem::path>();
           },
       .go_back = [&] { return go_back(); }},
      *metrics_, *checkpoints_, *events_);
}

}  // namespace elbo
