#include <filesystem>
#include <system_error>

#include "elbo/base/error.h"
#include "elbo/base/print.h"
#include "elbo/base/text.h"
#include "elbo/commands/command.h"
#include "elbo/data/dataset.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/run/checkpoint.h"
#include "elbo/run/checkpoint_seal.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

void verify_checkpoint(const fs::path& path) {
  const Checkpoint checkpoint = read_checkpoint(path);
  print_escaped("{}: fingerprint {} step {}\n", path.string(), checkpoint.fingerprint, checkpoint.step);
}

constexpr size_t most_bytes = 4000;  // of a message, as in base/log

struct Verified {
  int64_t sound = 0, damaged = 0, newer = 0;
  int64_t all() const { return sound + damaged + newer; }
};

// Every checkpoint is looked at, whatever the others are like. Those that training removes meanwhile count as
// neither.
Verified verify_checkpoints(const fs::path& directory) {
  Verified verified;
  for (const int64_t step : checkpoint_steps(directory)) {
    const fs::path path = checkpoint_path(directory, step);
    try {
      verify_checkpoint(path);
      ++verified.sound;
    } catch (const Error& error) {
      std::error_code ignored;
      if (!fs::exists(path, ignored)) continue;
      ++(dynamic_cast<const NewerCheckpoint*>(&error) != nullptr ? verified.newer : verified.damaged);
      print_escaped("{}\n", shortened(error.what(), most_bytes));
    }
  }
  return verified;
}

void verify_run(const fs::path& directory) {
  Verified verified;
  while (verified.all() == 0) {
    if (checkpoint_steps(directory).empty())
      usage_error("{}: holds no checkpoint; expected the folder of a run that elbo train has saved",
                  directory.string());
    verified = verify_checkpoints(directory);
  }
  if (verified.damaged > 0)
    fail("{}: {} of {} checkpoints are damaged; remove them, training continues from the others",
         directory.string(), verified.damaged, verified.all());
  if (verified.newer > 0)
    usage_error("{}: {} of {} checkpoints were made by a newer elbo; use that one", directory.string(),
                verified.newer, verified.all());
}

// A data set has no checksums but those of its filters: it is sound if every row can be read and is data.
void verify_data(const std::string& path) {
  DataOptions options;
  options.path = path;
  const Dataset dataset(options);
  for (const std::string& split : dataset.splits()) {
    const RowSource& rows = dataset.split(split);
    rows.read_all();
    print_escaped("{}: {} of {} rows read\n", path, split, rows.rows());
  }
  print_escaped("{}: data fingerprint {}\n", path, dataset.fingerprint());
}

ExitCode verify(const Environment& environment, const Words& words) {
  OptionTable none;
  const std::optional<CommandLine> line =
      begin(verify_command(), words, none, 1, 1, "a checkpoint, the folder of a run or a data set");
  if (!line) return ExitCode::ok;
  if (environment.rank() != 0) return ExitCode::ok;
  const std::string& path = line->positional[0];
  if (fs::is_directory(path)) {
    verify_run(path);
  } else if (is_checkpoint(path)) {
    verify_checkpoint(path);
  } else {
    verify_data(path);
  }
  return ExitCode::ok;
}

}  // namespace

Command verify_command() {
  return {"verify", "CHECKPOINT.h5|RUN|DATA.h5",
          "checks every checksum of a checkpoint or a run, or reads every row of a data set", verify};
}

}  // namespace elbo
