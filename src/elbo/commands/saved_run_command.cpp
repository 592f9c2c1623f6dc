#include "elbo/commands/saved_run_command.h"

#include <torch/utils.h>

#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/run/device.h"

namespace elbo {

std::optional<CommandLine> begin_with_run(const Command& command, const Words& words, OptionTable& table,
                                          RunWords expected, SavedRunOptions& options) {
  const bool takes_codes = expected == RunWords::run_and_codes;
  const size_t least = expected == RunWords::run_and_data || takes_codes ? 2 : 1;
  const size_t most = expected == RunWords::run ? 1 : 2;
  const char* what = takes_codes  ? "the folder of a run and a file of codes"
                     : most == 1  ? "the folder of a run"
                     : least == 2 ? "the folder of a run and a data set"
                                  : "the folder of a run and perhaps a data set";
  std::optional<CommandLine> line = begin(command, words, table, least, most, what);
  if (line && line->positional.size() > 1) options.data = line->positional[1];
  return line;
}

RunInUse open_run_of(const Environment& environment, const CommandLine& line, const SavedRunOptions& options,
                     DataNeed need) {
  std::unique_ptr<Communicator> world = environment.make_world(options.timeout);
  const std::string data = need == DataNeed::none ? "" : options.data;
  SavedRun run = open_run(*world, line.positional[0], options.checkpoint, data, need,
                          choose_device(options.device, "--device", environment));
  std::string split = run.dataset ? run.choose_split(options.split) : "";
  return {.environment = environment,
          .world = std::move(world),
          .run = std::move(run),
          .split = std::move(split)};
}

void require_density(const RunInUse& used, int64_t importance_samples) {
  if (importance_samples == 0) return;
  const torch::NoGradGuard no_grad;
  RandomGenerator probe(Key(0), used.run.device);
  if (!used.run.model->log_weights(used.run.rows(used.split, 0, 1), 1, probe))
    usage_error("--importance_samples={}: {} has no density to sample; expected 0", importance_samples,
                used.run.config->model->name());
}

}  // namespace elbo
