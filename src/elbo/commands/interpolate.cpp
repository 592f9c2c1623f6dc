#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/command.h"
#include "elbo/commands/saved_run_options.h"
#include "elbo/eval/output.h"
#include "elbo/run/saved_run.h"

namespace elbo {
namespace {

struct InterpolateOptions : SavedRunOptions {
  int64_t n = 8, steps = 10;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "number of walks, each between two consecutive rows of the split",
              Range::between(1, 1 << 16));
    table.add("steps", steps, "points of a walk, including both ends", Range::between(2, 1 << 10));
    bind_split(table);
    bind_checkpoint(table);
    output.bind(table, ".png (images: a line for each walk), .txt (tokens), .h5 or .csv");
    return table;
  }
};

// z (2n, latent) → (n·steps, latent): straight lines between pairs of neighbours.
torch::Tensor walks(const torch::Tensor& z, int64_t steps) {
  const torch::Tensor pairs = z.view({-1, 2, z.size(1)});
  const torch::Tensor from = pairs.select(1, 0).unsqueeze(1), to = pairs.select(1, 1).unsqueeze(1);
  const torch::Tensor share = torch::linspace(0, 1, steps).view({1, steps, 1});
  return (from + share * (to - from)).flatten(0, 1);
}

ExitCode interpolate(const Environment& environment, const Words& words) {
  InterpolateOptions options;
  OptionTable table = options.table();
  const std::optional<CommandLine> line =
      begin(interpolate_command(), words, table, 1, 1, "the folder of a run");
  if (!line) return ExitCode::ok;
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const SavedRun run = open_run(*world, line->positional[0], options.checkpoint);
  if (environment.rank() != 0) return ExitCode::ok;
  options.split = run.choose_split(options.split, table.is_set("split"));
  check_rows_output(options.output, run.checkpoint.data);
  const RowSource& source = run.dataset->split(options.split);
  if (source.rows() < 2 * options.n)
    usage_error("--n={}: needs {} rows, the {} split has {}; expected fewer walks", options.n, 2 * options.n,
                options.split, source.rows());

  const torch::NoGradGuard no_grad;
  const Batch batch = run.rows(source, 0, 2 * options.n);
  // A walk keeps the label of the row where it begins.
  const torch::Tensor label = batch.label.defined()
                                  ? batch.label.slice(0, 0, {}, 2).repeat_interleave(options.steps, 0)
                                  : batch.label;
  const torch::Tensor rows = run.model->decode(walks(run.model->encode(batch).z, options.steps), label);
  write_rows(options.output, {{"x", rows}}, options.steps, run.vocabulary());
  return ExitCode::ok;
}

}  // namespace

Command interpolate_command() {
  return {"interpolate", "RUN --out=FILE [--n=8] [--steps=10]",
          "writes straight walks in latent space from one row to another", interpolate};
}

}  // namespace elbo
