#include "elbo/train/checkpoint_manager.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr double retry_seconds = 5;  // between attempts while training continues
constexpr int last_attempts = 5;     // a second apart, where nothing follows

}  // namespace

CheckpointManager::CheckpointManager(const RunPlan& plan, bool is_root)
    : plan_(plan), is_root_(is_root), saved_step_(plan.start.step > 0 ? plan.start.step : -1) {}

bool CheckpointManager::wants_checkpoint() const {
  if (!is_root_) return false;
  const double seconds = std::chrono::duration<double>(Clock::now() - last_).count();
  const double minutes = plan_.checkpoint.every_minutes;
  return failed_ ? seconds >= retry_seconds : minutes > 0 && seconds >= minutes * 60;
}

std::string CheckpointManager::try_to_write(const Checkpoint& checkpoint) const {
  try {
    write_checkpoint(checkpoint_path(plan_.directory, checkpoint.step), checkpoint);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

void CheckpointManager::save(const Progress& progress, bool is_best, bool must_succeed,
                             const std::function<Checkpoint()>& collect) {
  if (progress.step != saved_step_) {
    const Checkpoint checkpoint = collect();
    if (is_root_) {
      std::string why = try_to_write(checkpoint);
      for (int attempt = 1; !why.empty() && must_succeed; ++attempt) {
        if (attempt == last_attempts) fail("{}", why);
        std::this_thread::sleep_for(std::chrono::seconds(1));
        why = try_to_write(checkpoint);
      }
      failed_ = !why.empty();
      if (failed_) log::warning("{}; training continues, and the checkpoint is tried again", why);
    }
    saved_step_ = progress.step;
  }
  last_ = Clock::now();
  if (!is_root_ || failed_) return;
  if (is_best) link_best(progress.step);
  remove_old(progress);
}

void CheckpointManager::link_best(int64_t step) const {
  const fs::path link = fs::path(plan_.directory) / "checkpoints" / "best.h5";
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
