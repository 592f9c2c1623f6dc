// The folder of a run, as rank 0 prepares it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "elbo/run/checkpoint.h"
#include "elbo/run/config.h"

namespace elbo {

// Looks before anything is computed: what the run starts from, if it goes on. Throws a usage Error where the
// folder holds a run that it is not to go on with, or cannot be written. Changes nothing.
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

// Makes the folder and writes run.ini, the resolved configuration. What lies behind the step that the run
// goes on from is set aside: it is damaged, or was left by a kill.
std::unique_ptr<RunLock> prepare_run_directory(RunConfig& config, int64_t first_step);

}  // namespace elbo
