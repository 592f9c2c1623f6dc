#include "elbo/run/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"

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
  for (const char* name : {"metrics.jsonl", "evaluation.json"})
    if (!holds_run && fs::exists(directory / name))
      usage_error("run.directory={}: holds a {} but no run; choose another folder", directory.string(), name);
  if (!holds_run) return std::nullopt;
  if (config.run.resume != "auto")
    usage_error("run.directory={}: holds a run already; --resume continues it, or choose another folder",
                directory.string());
  std::optional<Checkpoint> newest = newest_valid_checkpoint(directory);
  if (!newest && !checkpoint_steps(directory).empty())
    fail("run.directory={}: none of its checkpoints is valid; elbo verify lists what is damaged",
         directory.string());
  if (!newest) log::info("{} holds no checkpoint yet: the run starts at its beginning", directory.string());
  return newest;
}

RunLock::RunLock(const fs::path& directory)
    : descriptor_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  // Where the file system knows no locks, there is none.
  if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  usage_error("run.directory={}: another elbo trains there now; wait for its end, or choose another folder",
              directory.string());
}

RunLock::~RunLock() { ::close(descriptor_); }

std::unique_ptr<RunLock> lock_existing(const RunConfig& config) {
  std::error_code ignored;
  const fs::path directory = config.directory();
  return fs::is_directory(directory, ignored) ? std::make_unique<RunLock>(directory) : nullptr;
}

void prepare_run_directory(const RunPlan& plan, std::unique_ptr<RunLock>& lock) {
  if (plan.is_over(plan.start)) return;
  const fs::path directory = plan.directory, checkpoints = directory / "checkpoints";
  std::error_code error;
  fs::create_directories(checkpoints, error);
  if (error) usage_error("run.directory={}: cannot be made: {}", directory.string(), error.message());
  if (!lock) lock = std::make_unique<RunLock>(directory);
  for (const int64_t step : checkpoint_steps(directory)) {
    if (step <= plan.start.step) continue;
    const fs::path path = checkpoint_path(directory, step);
    if (is_intact(path)) continue;  // of a newer elbo, or of another run: a warning has named it
    fs::rename(path, path.string() + ".damaged", error);
    if (error) fail("{}: cannot be renamed: {}", path.string(), error.message());
    log::warning("{} is renamed to {}.damaged", path.string(), path.filename().string());
  }
  for (const fs::path& path : entries_of(checkpoints, error))
    if (path.filename().string().find(".h5.partial-") != std::string::npos)
      remove_or_warn(path);  // left by a kill
  write_file(directory / "run.ini", plan.ini);
}

void restore_run_directory(const RunPlan& plan) {
  const fs::path directory = plan.directory;
  std::error_code error;
  fs::create_directories(directory / "checkpoints", error);
  if (error) fail("run.directory={}: cannot be made again: {}", directory.string(), error.message());
  if (!fs::exists(directory / "run.ini", error)) write_file(directory / "run.ini", plan.ini);
}

void set_other_checkpoint_aside(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return;
  fs::path aside = path.string() + ".other";
  for (int number = 2; fs::exists(aside, error); ++number)
    aside = fmt::format("{}.other-{}", path.string(), number);
  fs::rename(path, aside, error);
  if (error) fail("{}: cannot be renamed: {}", path.string(), error.message());
  log::warning("{} was not written by this run; it is renamed to {}", path.string(),
               aside.filename().string());
}

}  // namespace elbo
