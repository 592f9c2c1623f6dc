#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/commands/rows_out.h"

namespace elbo {
namespace {

struct InterpolateOptions : SavedRunOptions {
  std::string n = "auto";
  int64_t steps = 10;
  DrawOptions draw;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add_number_or(
        "n", n, {"auto"},
        "number of interpolations, each between two consecutive rows of the split; auto: 8, or as "
        "many as there are rows for",
        Range::between(1, 1 << 16));
    table.add("steps", steps, "points of an interpolation, including both ends", Range::between(2, 1 << 10));
    bind_split(table);
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    draw.bind(table, "mean");
    output.bind_rows(table, "the rows of all walks, one walk after another");
    return table;
  }
};

// z (2n, latent) → (n·steps, latent): straight lines between pairs of neighbours.
torch::Tensor walks(const torch::Tensor& z, int64_t steps) {
  const torch::Tensor pairs = z.view({-1, 2, z.size(1)});
  const torch::Tensor from = pairs.select(1, 0).unsqueeze(1), to = pairs.select(1, 1).unsqueeze(1);
  const torch::Tensor share = torch::linspace(0, 1, steps, z.options()).view({1, steps, 1});
  return (from + share * (to - from)).flatten(0, 1);
}

void interpolate(const InterpolateOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  const RowSource& source = used.rows();
  const int64_t n =
      options.n == "auto" ? std::clamp<int64_t>(source.rows() / 2, 1, 8) : std::stoll(options.n);
  if (source.rows() < 2 * n)
    usage_error("--n={}: needs {} rows, the {} split has {}; expected fewer walks, or another --split", n,
                2 * n, used.split, source.rows());

  const torch::NoGradGuard no_grad;
  const Batch batch = run.rows(used.split, 0, 2 * n);
  // A walk keeps the label of the row where it begins.
  const torch::Tensor label = batch.label.defined()
                                  ? batch.label.slice(0, 0, {}, 2).repeat_interleave(options.steps, 0)
                                  : batch.label;
  write_decoded(options.output, used, options.threads, {.columns = options.steps},
                walks(run.model->encode(batch).z, options.steps), label, options.draw, Elements::mean);
}

}  // namespace

Command interpolate_command() {
  return saved_run_command<InterpolateOptions>(
      {"interpolate",
       "RUN --out=FILE [--n=8] [--steps=10]",
       "writes interpolations: straight lines in latent space from one row to another",
       {}},
      RunWords::run, interpolate);
}

}  // namespace elbo
