// The folder of a run, as rank 0 prepares it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"
#include "elbo/run/run_plan.h"

namespace elbo {

// Looks before anything is computed: what the run starts from, if it continues. Throws a usage Error where
// the folder holds a run that it is not to continue, or cannot be written. Changes nothing.
std::optional<Checkpoint> find_start(const RunConfig& config);

// A folder that no other process may train in meanwhile.
class RunLock {
 public:
  explicit RunLock(const std::filesystem::path& directory);  // throws a usage Error where another has it
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_;
};

// The lock of the run's folder, or none where there is no such folder yet.
std::unique_ptr<RunLock> lock_existing(const RunConfig& config);

// Makes the folder, takes its lock if `lock` is none, and writes run.ini. A damaged checkpoint after the step
// that the run continues from is renamed; one that is intact, such as that of a newer elbo, stays. Where the
// run has already reached its end, nothing changes.
void prepare_run_directory(const RunPlan& plan, std::unique_ptr<RunLock>& lock);

// Makes the folder and run.ini again where somebody deleted them during the run. Throws Error.
void restore_run_directory(const RunPlan& plan);

// Renames a file that has the name of a checkpoint that the run is about to write, such as that of a newer
// elbo. Throws Error.
void set_other_checkpoint_aside(const std::filesystem::path& path);

}  // namespace elbo
