// When checkpoints are written besides those of checkpoint.every_steps, which are kept, and the link to the
// best. On ranks other than the root it takes the same decisions and writes nothing.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "elbo/run/checkpoint.h"
#include "elbo/run/run_plan.h"

namespace elbo {

class CheckpointManager {
 public:
  // `plan` outlives the object.
  CheckpointManager(const RunPlan& plan, bool is_root);

  // Whether this rank asks for a checkpoint: by time, or because the last could not be written. The root's
  // alone.
  bool wants_checkpoint() const;

  // Writes what collect() returns, unless the checkpoint of that step is there, links to it if it is the
  // best, and removes old ones. collect() is collective and called on every rank. A checkpoint that cannot be
  // written is a warning, and is tried again later; if `must_succeed` (nothing follows) it is tried for some
  // seconds, then Error is thrown.
  void save(const Progress& progress, bool is_best, bool must_succeed,
            const std::function<Checkpoint()>& collect);

 private:
  using Clock = std::chrono::steady_clock;
  std::string try_to_write(const Checkpoint& checkpoint) const;  // "" or why not
  void link_best(int64_t step) const;
  void remove_old(const Progress& progress) const;

  const RunPlan& plan_;
  bool is_root_;
  int64_t saved_step_;
  bool failed_ = false;  // the last could not be written
  Clock::time_point last_ = Clock::now();
};

}  // namespace elbo
