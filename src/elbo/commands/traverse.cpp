#include <torch/types.h>
#include <torch/utils.h>

#include <charconv>
#include <numeric>

#include "elbo/base/text.h"
#include "elbo/commands/rows_out.h"

namespace elbo {
namespace {

struct TraverseOptions : SavedRunOptions {
  int64_t row = 0, steps = 11;
  double range = 3;
  std::string dimensions = "all";
  DrawOptions draw;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("row", row, "row of the split whose latent code is changed", Range::at_least(0));
    table.add("steps", steps, "values of each dimension, evenly spaced from -range to range",
              Range::between(2, 1 << 10));
    table.add("range", range, "largest absolute value, in standard deviations of the prior N(0, 1)",
              Range::above(0));
    table.add("dimensions", dimensions, "latent dimensions, from 0, separated by commas; or all");
    bind_split(table);
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    draw.bind(table, "mean");
    output.bind_rows(table, "the rows, one dimension after another");
    return table;
  }
};

std::vector<int64_t> chosen_dimensions(const std::string& text, int64_t latent) {
  std::vector<int64_t> result;
  if (text == "all") {
    result.resize(static_cast<size_t>(latent));
    std::iota(result.begin(), result.end(), 0);
    return result;
  }
  for (const std::string& word : split(text, ',')) {
    int64_t number = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc() || end != word.data() + word.size() || number < 0 || number >= latent)
      usage_error("--dimensions={}: '{}' is none of the model's {} latent dimensions; expected 0 … {}", text,
                  word, latent, latent - 1);
    result.push_back(number);
  }
  return result;
}

// z (1, latent) → (dimensions·steps, latent): a copy of z for each value of each dimension.
torch::Tensor moved(const torch::Tensor& z, const std::vector<int64_t>& dimensions,
                    const TraverseOptions& options) {
  const torch::Tensor values = torch::linspace(-options.range, options.range, options.steps);
  torch::Tensor all = z.repeat({static_cast<int64_t>(dimensions.size()) * options.steps, 1});
  for (size_t i = 0; i < dimensions.size(); ++i)
    all.narrow(0, static_cast<int64_t>(i) * options.steps, options.steps)
        .select(1, dimensions[i])
        .copy_(values);
  return all;
}

void traverse(const TraverseOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  const RowSource& source = used.rows();
  if (options.row >= source.rows())
    usage_error("--row={}: the {} split has {} rows; expected 0 … {}", options.row, used.split, source.rows(),
                source.rows() - 1);

  const torch::NoGradGuard no_grad;
  const Batch batch = run.rows(used.split, options.row, options.row + 1);
  const torch::Tensor z = moved(run.model->encode(batch).z,
                                chosen_dimensions(options.dimensions, run.model->latent_size()), options);
  const torch::Tensor label =
      batch.label.defined() ? batch.label.repeat_interleave(z.size(0), 0) : batch.label;
  write_decoded(options.output, used, options.threads, {.columns = options.steps}, z, label, options.draw,
                Elements::mean);
}

}  // namespace

Command traverse_command() {
  return saved_run_command<TraverseOptions>(
      {"traverse",
       "RUN --out=FILE [--row=0] [--steps=11] [--range=3]",
       "changes each latent dimension of a row in turn, to show its meaning",
       {}},
      RunWords::run, traverse);
}

}  // namespace elbo
