#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/commands/command.h"
#include "elbo/commands/saved_run_options.h"
#include "elbo/eval/output.h"
#include "elbo/run/saved_run.h"

namespace elbo {
namespace {

struct ReconstructOptions : SavedRunOptions {
  int64_t n = 32;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "number of rows, from the beginning of the split", Range::between(1, 1 << 20));
    bind_split(table);
    bind_checkpoint(table);
    output.bind(
        table, ".png (images: a line of inputs above a line of reconstructions), .txt (tokens), .h5 or .csv");
    return table;
  }
};

ExitCode reconstruct(const Environment& environment, const Words& words) {
  ReconstructOptions options;
  OptionTable table = options.table();
  const std::optional<CommandLine> line =
      begin(reconstruct_command(), words, table, 1, 2, "the folder of a run and perhaps a data set");
  if (!line) return ExitCode::ok;
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const SavedRun run = open_run(*world, line->positional[0], options.checkpoint,
                                line->positional.size() > 1 ? line->positional[1] : "");
  if (environment.rank() != 0) return ExitCode::ok;
  options.split = run.choose_split(options.split, table.is_set("split"));
  check_rows_output(options.output, run.checkpoint.data);

  const torch::NoGradGuard no_grad;
  const RowSource& source = run.dataset->split(options.split);
  const Batch batch = run.rows(source, 0, std::min(options.n, source.rows()));
  const torch::Tensor reconstruction = run.model->decode(run.model->encode(batch).z, batch.label);
  constexpr int64_t columns = 16;
  write_rows(options.output, {{"x", batch.x}, {"reconstruction", reconstruction}},
             std::min(columns, batch.size()), run.vocabulary());
  return ExitCode::ok;
}

}  // namespace

Command reconstruct_command() {
  return {"reconstruct", "RUN [DATA.h5] --out=FILE [--n=32] [--split=test]",
          "writes rows beside their reconstructions", reconstruct};
}

}  // namespace elbo
