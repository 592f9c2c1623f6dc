// What the commands that use a saved run share: options for their own to inherit, and how they begin.
#pragma once
#include <memory>
#include <string>

#include "elbo/base/options.h"
#include "elbo/commands/command.h"
#include "elbo/run/saved_run.h"

namespace elbo {

struct SavedRunOptions {
  std::string data;  // "": the run's own data set
  std::string split = "auto", checkpoint = "newest", threads = "auto", device = "auto";
  double timeout = 600;

  void bind_run(OptionTable& table) {
    table.add("checkpoint", checkpoint, "checkpoint that is used: newest, best, or a step");
    table.add("timeout", timeout,
              "seconds that a rank waits for the others in one call before it ends the job", Range::above(0));
  }
  void bind_split(OptionTable& table) {
    table.add_choice(
        "split", split, {"auto", "all", "train", "validation", "test"},
        "split whose rows are used; all: train, then validation, then test, each in the order of "
        "the file; auto: all rows of a data set that is named here, else the test split of the "
        "run's own, or the validation or training split where there is none");
  }
  void bind_device(OptionTable& table) {
    table.add_choice(
        "device", device, {"auto", "cpu", "cuda"},
        "where to compute; auto: on a GPU if there is one. The noise on a GPU is not that on a CPU");
  }
  void bind_threads(OptionTable& table) {
    table.add_number_or(
        "threads", threads, {"auto"},
        "worker threads of a rank on CPUs; auto: the cores of the host divided among its ranks",
        Range::between(1, 1024));
  }
  DataNeed need() const { return DataNeed::rows; }
};

// The words of such a command: the folder of a run, and perhaps a data set or a file of codes.
enum class RunWords { run, run_and_perhaps_data, run_and_data, run_and_codes };

// A run used for a command, the same on every rank.
struct RunInUse {
  const Environment& environment;
  std::unique_ptr<Communicator> world;
  SavedRun run;
  std::string split;  // "" where no data were asked for

  bool is_root() const { return environment.rank() == 0; }
  // Throws a usage Error for rows without the labels that the model needs.
  const RowSource& rows() const {
    if (run.model->conditional()) run.dataset->require_labels(split);
    return run.dataset->split(split);
  }
};

// begin() for such a command; a data set among the words goes to options.data.
std::optional<CommandLine> begin_with_run(const Command& command, const Words& words, OptionTable& table,
                                          RunWords expected, SavedRunOptions& options);

// All ranks call it. Throws usage Errors as open_run does.
RunInUse open_run_of(const Environment& environment, const CommandLine& line, const SavedRunOptions& options,
                     DataNeed need);

// Throws a usage Error where importance samples are wanted and the model has no p(x,z)/q(z|x).
void require_density(const RunInUse& used, int64_t importance_samples);

// A command that parses its Options (of SavedRunOptions, with a table()), opens the run and uses it.
template <typename Options>
Command saved_run_command(Command command, RunWords expected, void (*use)(const Options&, const RunInUse&)) {
  command.run = [command, expected, use](const Environment& environment, const Words& words) {
    Options options;
    OptionTable table = options.table();
    if (const std::optional<CommandLine> line = begin_with_run(command, words, table, expected, options)) {
      const RunInUse used = open_run_of(environment, *line, options, options.need());
      if constexpr (requires { options.output; }) options.output.inputs = {used.run.data_path, options.data};
      use(options, used);
    }
    return ExitCode::ok;
  };
  return command;
}

}  // namespace elbo
