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
#include "elbo/run/checkpoint_file.h"
#include "elbo/run/run_directory.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::duration<double> first_retry(5), longest_retry(300);
constexpr double slow_disk = 50e6;  // bytes per second
constexpr int last_attempts = 5;    // 1, 2, 4, 8 s apart, where nothing follows

// Training changes them while they are written.
void copy_from_training(Checkpoint& checkpoint) {
  for (auto* group : {&checkpoint.parameters, &checkpoint.buffers})
    for (auto& [name, tensor] : *group) tensor = tensor.detach().to(torch::kCPU, false, /*copy=*/true);
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

CheckpointManager::~CheckpointManager() {
  if (queue_) queue_->give_up();
}

bool CheckpointManager::wants_checkpoint() {
  if (!is_root_) return false;
  if (writer_.valid()) {
    if (writer_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
    settle();
    warn_of_failure();
  }
  const std::chrono::duration<double> elapsed = Clock::now() - last_;
  const double minutes = plan_.checkpoint.every_minutes;
  return failure_.empty() ? minutes > 0 && elapsed.count() >= minutes * 60 : elapsed >= retry_delay_;
}

void CheckpointManager::settle() {
  const bool failed_before = !std::exchange(failure_, writer_.get()).empty();
  queue_.reset();
  last_ = Clock::now();
  retry_delay_ = failed_before ? std::min(retry_delay_ * 2, longest_retry) : first_retry;
}

void CheckpointManager::warn_of_failure() const {
  if (!failure_.empty()) log::warning("{}; training continues, and the checkpoint is tried again", failure_);
}

void CheckpointManager::send_piece() {
  PieceQueue::Piece piece = snapshot_->gather(next_piece_++);
  if (queue_) queue_->put(std::move(piece));
  if (next_piece_ == snapshot_->pieces()) snapshot_.reset();
}

void CheckpointManager::wait_for_writer() {
  const bool had_writer = writer_.valid();
  complete_writing();
  if (had_writer) warn_of_failure();
}

void CheckpointManager::complete_writing() {
  enum : int64_t { written, failed, piece };  // what the root says
  torch::Tensor state = torch::zeros({}, torch::kInt64);
  do {
    wait_for_root(world_, [&] {
      if (queue_) queue_->wait_a_moment();
      return !queue_ || queue_->ended() || queue_->wants_piece();
    });
    if (is_root_) {
      const bool wants = wants_piece();
      if (!wants && writer_.valid()) settle();
      state.fill_(wants ? piece : failure_.empty() ? written : failed);
    }
    world_.broadcast(state, 0);
    if (state.item<int64_t>() == piece) send_piece();
  } while (state.item<int64_t>() == piece);
  snapshot_.reset();
  if (state.item<int64_t>() == failed) saved_step_ = -1;
}

void CheckpointManager::save(const Progress& progress, bool is_best, bool must_succeed,
                             const std::function<CollectedState()>& collect) {
  wait_for_writer();
  for (int attempt = 1;; ++attempt) {
    if (progress.step != saved_step_) {
      start_to_write(progress, is_best, collect());
    } else if (is_root_) {
      if (is_best) link_best(progress.step);
      remove_old(progress);
    }
    last_ = Clock::now();
    if (!must_succeed) return;
    complete_writing();
    if (saved_step_ == progress.step || attempt == last_attempts) break;
    const Clock::time_point next =
        Clock::now() + std::chrono::seconds(1U << static_cast<unsigned>(attempt - 1));
    wait_for_root(world_, [&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      return Clock::now() >= next;
    });
  }
  if (!failure_.empty()) fail("{}", failure_);
}

void CheckpointManager::start_to_write(const Progress& progress, bool is_best, CollectedState state) {
  const Stopwatch watch;
  saved_step_ = progress.step;
  snapshot_ = std::make_unique<OptimizerSnapshot>(std::move(state.optimizer));
  next_piece_ = 0;
  if (is_root_) {
    copy_from_training(state.checkpoint);
    queue_ = std::make_shared<PieceQueue>(snapshot_->pieces());
    writer_ =
        std::async(std::launch::async, [this, watch, queue = queue_,
                                        writing = Writing{std::move(state.checkpoint), snapshot_->tensors(),
                                                          std::move(state.rank_times), progress, is_best}] {
          std::string why = write(writing, *queue);
          save_seconds_ = std::max(save_seconds_.load(), watch.seconds() - queue->waited_seconds());
          queue->end();
          return why;
        });
  }
  if (snapshot_->pieces() > 0) send_piece();  // often the only one
}

std::string CheckpointManager::write(const Writing& writing, PieceQueue& queue) const {
  const Doing doing(FlightRecorder::instance().record().writer, "writes a checkpoint");
  std::string why = try_to_write(writing, queue);
  if (!why.empty()) return why;
  if (writing.is_best) link_best(writing.checkpoint.step);
  remove_old(writing.progress);
  write_rank_times(writing.rank_times);
  written_(writing.checkpoint.step, writing.is_best);
  return "";
}

std::string CheckpointManager::try_to_write(const Writing& writing, PieceQueue& queue) const {
  const Checkpoint& checkpoint = writing.checkpoint;
  try {
    if (fingerprint(checkpoint.parameters) != checkpoint.fingerprint)
      fail("the checkpoint of step {} has changed in memory before it was written; it is not kept",
           checkpoint.step);
    restore_run_directory(plan_);
    const fs::path path = checkpoint_path(plan_.directory, checkpoint.step);
    set_other_checkpoint_aside(path);
    CheckpointFile file(path, checkpoint, writing.optimizer);
    for (size_t pieces = queue.pieces(); pieces > 0; --pieces)
      for (const TensorRows& rows : queue.take()) file.write(rows);
    file.commit();
    return "";
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    return describe_library_error(error).what();
  }
}

void CheckpointManager::write_rank_times(const std::string& table) const {
  if (table.empty()) return;
  try {
    write_file(fs::path(plan_.directory) / "ranks.tsv", table);
  } catch (const Error& error) {
    log::warning("{}", error.what());
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
