#include "train/run_directory.h"

#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// The folder itself, or the nearest one above it that is there.
fs::path nearest_existing(fs::path path) {
  path = fs::absolute(path).lexically_normal();
  while (!fs::exists(path) && path.has_relative_path()) path = path.parent_path();
  return path;
}

}  // namespace

std::optional<Checkpoint> find_start(const RunConfig& config) {
  const fs::path directory = config.directory();
  const fs::path existing = nearest_existing(directory);
  if (!fs::is_directory(existing))
    usage_error("run.directory={}: {} is a file, expected a folder; choose another", directory.string(),
                existing.string());
  if (access(existing.c_str(), W_OK | X_OK) != 0)
    usage_error("run.directory={}: no permission to write in {}; choose another", directory.string(),
                existing.string());
  const bool holds_run = fs::exists(directory / "run.ini") || !checkpoint_steps(directory).empty();
  if (!holds_run) return std::nullopt;
  if (config.run.resume != "auto")
    usage_error("run.directory={}: holds a run already; --resume goes on with it, or choose another folder",
                directory.string());
  std::optional<Checkpoint> newest = newest_valid_checkpoint(directory);
  if (!newest && !checkpoint_steps(directory).empty())
    fail("run.directory={}: none of its checkpoints is valid; elbo verify tells what is damaged",
         directory.string());
  if (!newest) log::info("{} holds no checkpoint yet: the run starts at its beginning", directory.string());
  return newest;
}

void prepare_run_directory(RunConfig& config) {
  const fs::path directory = config.directory();
  std::error_code error;
  fs::create_directories(directory / "checkpoints", error);
  if (error) usage_error("run.directory={}: cannot be made: {}", directory.string(), error.message());
  write_file(directory / "run.ini", config.table().ini());
}

}  // namespace elbo
