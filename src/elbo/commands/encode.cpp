#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/command.h"
#include "elbo/commands/saved_run_options.h"
#include "elbo/eval/map_rows.h"
#include "elbo/eval/output.h"
#include "elbo/run/device.h"
#include "elbo/run/saved_run.h"

namespace elbo {
namespace {

struct EncodeOptions : SavedRunOptions {
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_split(table);
    bind_checkpoint(table);
    bind_threads(table);
    output.bind(table, ".h5, with /z (N, latent), and /logvar and /label where there are any");
    return table;
  }
};

ExitCode encode(const Environment& environment, const Words& words) {
  EncodeOptions options;
  OptionTable table = options.table();
  const std::optional<CommandLine> line =
      begin(encode_command(), words, table, 2, 2, "the folder of a run and a data set");
  if (!line) return ExitCode::ok;
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const SavedRun run = open_run(*world, line->positional[0], options.checkpoint, line->positional[1]);
  const RowSource& source = run.dataset->split(run.choose_split(options.split, table.is_set("split")));

  if (environment.rank() == 0) check_output(options.output, {".h5"});

  const torch::NoGradGuard no_grad;
  Workers workers(worker_count(options.threads, environment, torch::kCPU, source.rows()));
  const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
  const auto code_of = [&](int worker, int64_t first, int64_t end) {
    return models[static_cast<size_t>(worker)]->encode(run.rows(source, first, end));
  };
  const int64_t latent = run.model->latent_size();
  std::vector<RowOutput> outputs{{"z", {latent}}};
  if (code_of(0, 0, 1).logvar) outputs.push_back({"logvar", {latent}});
  map_rows(
      *world, workers, source, run.config->evaluate.microbatch, outputs,
      [&](int worker, int64_t /*leaf*/, int64_t first, int64_t end) {
        const Latent code = code_of(worker, first, end);
        return code.logvar ? torch::cat({code.z, *code.logvar}, 1) : code.z;
      },
      options.output.out);
  return ExitCode::ok;
}

}  // namespace

Command encode_command() {
  return {"encode", "RUN DATA.h5 --out=CODES.h5 [--split=test]",
          "writes the latent code of every row, as features for other programs", encode};
}

}  // namespace elbo
