#include "elbo/train/checkpoint_manager.h"

#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/flight_recorder.h"
#include "elbo/base/library_error.h"
#include "elbo/base/log.h"
#include "elbo/base/stopwatch.h"
#include "elbo/comm/on_root.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/run/run_directory.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::duration<double> first_retry(5), longest_retry(300);
constexpr double slow_disk = 50e6;  // bytes per second
constexpr int last_attempts = 5;    // 1, 2, 4, 8 s apart, where nothing follows

// Training changes parameters and buffers while they are written; optimizer states are copies already.
void copy_from_training(Checkpoint& checkpoint) {
  for (auto* group : {&checkpoint.parameters, &checkpoint.buffers})
    for (auto& [name, tensor] : *group) tensor = tensor.detach().to(torch::kCPU, false, /*copy=*/true);
  for (auto& [name, tensor] : checkpoint.optimizer) tensor = tensor.cpu();
}

fs::path best_link(const RunPlan& plan) { return fs::path(plan.directory) / "checkpoints" / "best.h5"; }

}  // namespace

CheckpointManager::CheckpointManager(const RunPlan& plan, Communicator& world, Written written)
    : plan_(plan),
      world_(world),
      written_(std::move(written)),
      is_root_(world.rank() == 0),
      saved_step_(plan.start.step > 0 ? plan.start.step : -1),
      retry_delay_(first_retry),
      save_seconds_(3 * sizeof(float) * static_cast<double>(plan.parameters) / slow_disk) {
  if (!is_root_ || !plan_.start.best_loss) return;
  std::error_code error;
  const fs::path best = checkpoint_path(plan_.directory, plan_.start.best_step);
  if (fs::exists(best, error) && fs::read_symlink(best_link(plan_), error) != best.filename())
    link_best(plan_.start.best_step);
}

bool CheckpointManager::wants_checkpoint() {
  if (!is_root_) return false;
  if (writer_.valid()) {
    if (writer_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
    settle();
  }
  const std::chrono::duration<double> elapsed = Clock::now() - last_;
  const double minutes = plan_.checkpoint.every_minutes;
  return failure_.empty() ? minutes > 0 && elapsed.count() >= minutes * 60 : elapsed >= retry_delay_;
}

void CheckpointManager::settle() {
  const bool failed_before = !std::exchange(failure_, writer_.get()).empty();
  last_ = Clock::now();
  retry_delay_ = failed_before ? std::min(retry_delay_ * 2, longest_retry) : first_retry;
  if (!failure_.empty()) log::warning("{}; training continues, and the checkpoint is tried again", failure_);
}

void CheckpointManager::wait_for_writer() {
  wait_for_root(world_, [&] { return !writer_.valid() || is_ready(writer_); });
  if (writer_.valid()) settle();
}

void CheckpointManager::save(const Progress& progress, bool is_best, bool must_succeed,
                             const std::function<Checkpoint()>& collect) {
  wait_for_writer();
  if (progress.step != saved_step_) {
    const Stopwatch watch;
    Checkpoint checkpoint = collect();
    saved_step_ = progress.step;
    if (is_root_) {
      copy_from_training(checkpoint);
      writer_ = std::async(std::launch::async,
                           [this, watch, progress, is_best, must_succeed, kept = std::move(checkpoint)] {
                             std::string why = write(kept, progress, is_best, must_succeed);
                             save_seconds_ = std::max(save_seconds_.load(), watch.seconds());
                             return why;
                           });
    }
  } else if (is_root_ && failure_.empty()) {
    if (is_best) link_best(progress.step);
    remove_old(progress);
  }
  last_ = Clock::now();
  if (!must_succeed) return;
  wait_for_writer();
  if (!failure_.empty()) fail("{}", failure_);
}

std::string CheckpointManager::write(const Checkpoint& checkpoint, const Progress& progress, bool is_best,
                                     bool must_succeed) const {
  const Doing doing(FlightRecorder::instance().record().writer, "writes a checkpoint");
  std::string why = try_to_write(checkpoint);
  for (int attempt = 1; !why.empty() && must_succeed && attempt < last_attempts; ++attempt) {
    std::this_thread::sleep_for(std::chrono::seconds(1U << static_cast<unsigned>(attempt - 1)));
    why = try_to_write(checkpoint);
  }
  if (!why.empty()) return why;
  if (is_best) link_best(checkpoint.step);
  remove_old(progress);
  written_(checkpoint.step, is_best);
  return "";
}

std::string CheckpointManager::try_to_write(const Checkpoint& checkpoint) const {
  try {
    if (fingerprint(checkpoint.parameters) != checkpoint.fingerprint)
      fail("the checkpoint of step {} has changed in memory before it was written; it is not kept",
           checkpoint.step);
    restore_run_directory(plan_);
    const fs::path path = checkpoint_path(plan_.directory, checkpoint.step);
    set_other_checkpoint_aside(path);
    write_checkpoint(path, checkpoint);
    return "";
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return describe_library_error(error).what();
  }
}

void CheckpointManager::link_best(int64_t step) const {
  const fs::path link = best_link(plan_);
  const fs::path temporary = link.string() + ".partial";
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(checkpoint_path(plan_.directory, step).filename(), temporary, error);
  if (!error) fs::rename(temporary, link, error);
  if (error)
    log::warning("{}: cannot be linked to step {}: {}; --checkpoint={} is the best", link.string(), step,
                 error.message(), step);
}

void CheckpointManager::remove_old(const Progress& progress) const {
  const CheckpointOptions& keep = plan_.checkpoint;
  if (keep.keep_last == 0) return;
  std::vector<int64_t> steps;
  try {
    steps = checkpoint_steps(plan_.directory);
  } catch (const Error& error) {
    log::warning("{}; old checkpoints are kept", error.what());
    return;
  }
  std::erase_if(steps,
                [&](int64_t step) { return step > progress.step; });  // of a longer run, not of this one
  if (steps.size() <= static_cast<size_t>(keep.keep_last)) return;
  steps.resize(steps.size() - static_cast<size_t>(keep.keep_last));
  for (const int64_t step : steps) {
    const bool is_best = progress.best_loss && step == progress.best_step;
    if (is_best || (keep.keep_every > 0 && step % keep.keep_every == 0)) continue;
    remove_or_warn(checkpoint_path(plan_.directory, step));
  }
}

}  // namespace elbo
