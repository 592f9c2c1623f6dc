// When checkpoints are written besides those of checkpoint.every_steps, which are kept, and the link to the
// best. The root writes them in a thread, while training continues: a step waits for the copy in memory, and
// for a piece of the optimizer states on its way to the root. On other ranks the object takes the same
// decisions and writes nothing.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/run_plan.h"
#include "elbo/train/optimizer_snapshot.h"
#include "elbo/train/piece_queue.h"

namespace elbo {

// The state of a run after a step.
struct CollectedState {
  Checkpoint checkpoint;  // without optimizer states
  OptimizerSnapshot optimizer;
  std::string rank_times{};  // what ranks.tsv in the run's folder shall hold; on the root, "" for nothing new
};

class CheckpointManager {
 public:
  // In the writer's thread, after a checkpoint was written.
  using Written = std::function<void(int64_t step, bool is_best)>;

  // Links to the best checkpoint where a kill has prevented that. All outlive the object.
  CheckpointManager(
      const RunPlan& plan, Communicator& world, Written written = [](int64_t, bool) {});
  // A checkpoint of which the root lacks pieces is given up.
  ~CheckpointManager();
  CheckpointManager(const CheckpointManager&) = delete;
  CheckpointManager& operator=(const CheckpointManager&) = delete;

  // Whether this rank asks for a checkpoint: by time, or because the last could not be written. The root's
  // alone.
  bool wants_checkpoint();

  // Whether the root's writer waits for the next piece of the optimizer states. The root's alone.
  bool wants_piece() const { return queue_ && queue_->wants_piece(); }
  // Sends it. To be called between steps, where the root asked for it. Collective.
  void send_piece();

  // Starts to write what collect() returns, unless the checkpoint of that step is there, then links to it if
  // it is the best, and removes old ones. Waits for the checkpoint before; the ranks know of that wait, which
  // has no limit. collect() is collective and called on every rank. A checkpoint that cannot be written is a
  // warning, and is tried again later. If `must_succeed` (nothing follows) this call waits until it is
  // written, which is tried for some seconds; then Error is thrown on the root. Collective.
  void save(const Progress& progress, bool is_best, bool must_succeed,
            const std::function<CollectedState()>& collect);
  // How long it may take until a checkpoint is complete: the longest time so far; before the first, what a
  // slow disk would take. On the root.
  double save_seconds() const { return save_seconds_; }
  // The run continues from an earlier step, whose checkpoint is there.
  void go_back(const Progress& start) { saved_step_ = start.step; }
  // Waits until the checkpoint that is being written is complete, or has failed. Collective.
  void wait_for_writer();

 private:
  using Clock = std::chrono::steady_clock;
  void start_to_write(const Progress& progress, bool is_best, CollectedState state);
  void complete_writing();
  void settle();  // takes the result of a writer that has ended
  void warn_of_failure() const;
  struct Writing {
    Checkpoint checkpoint;
    std::vector<TensorShape> optimizer;
    std::string rank_times;
    Progress progress;
    bool is_best;
  };
  // In the writer's thread; these read the plan only.
  // "" or why not.
  std::string write(const Writing& writing, PieceQueue& queue) const;
  std::string try_to_write(const Writing& writing, PieceQueue& queue) const;
  void write_rank_times(const std::string& table) const;
  void link_best(int64_t step) const;
  void remove_old(const Progress& progress) const;

  const RunPlan& plan_;
  Communicator& world_;
  Written written_;
  bool is_root_;
  int64_t saved_step_;
  std::string failure_;                        // why the last could not be written, or ""
  std::chrono::duration<double> retry_delay_;  // between attempts while training continues
  Clock::time_point last_ = Clock::now();
  std::atomic<double> save_seconds_;
  std::unique_ptr<OptimizerSnapshot> snapshot_;  // until its last piece is sent
  size_t next_piece_ = 0;
  std::shared_ptr<PieceQueue> queue_;  // on the root, while the writer works
  std::future<std::string> writer_;    // on the root: its failure, or ""
};

}  // namespace elbo
