#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/output.h"

namespace elbo {
namespace {

struct ReconstructOptions : SavedRunOptions {
  int64_t n = 32, importance_samples = 0;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "number of rows, from the beginning of the split", Range::between(1, 1 << 20));
    bind_split(table);
    bind_run(table);
    bind_device(table);
    table.add("importance_samples", importance_samples,
              "importance samples K from which missing values are imputed, for a run with data.missing=mask; "
              "0: 100, for models with a density",
              Range::between(0, 1 << 16));
    output.bind(
        table,
        ".png (images: a strip of inputs above a strip of reconstructions; of volumes the middle slices), "
        ".txt (tokens), .h5 or .csv; of a run with data.missing=mask also the rows as they are stored with "
        "missing values imputed");
    return table;
  }
};

// E[x | observed elements] of the first n rows, in parts of bounded memory.
torch::Tensor impute(const RunInUse& used, int64_t n, int64_t importance_samples) {
  constexpr int64_t usual_samples = 100, decoded_rows = 4096;
  const SavedRun& run = used.run;
  const int64_t rows = used.rows().rows();
  const int64_t k = importance_samples == 0 ? usual_samples : importance_samples;
  const int64_t at_once = std::max<int64_t>(1, decoded_rows / k);
  const Key key = Key(static_cast<uint64_t>(run.config->train.seed)).with("impute").with(used.split);
  std::vector<torch::Tensor> parts;
  parts.reserve(static_cast<size_t>(n / at_once + 1));
  for (int64_t first = 0; first < n; first += at_once) {
    RandomGenerator noise(key.with(static_cast<uint64_t>(first)), run.device);
    parts.push_back(
        run.model->impute(run.rows(used.split, first, std::min(first + at_once, rows)), k, noise));
  }
  return torch::cat(parts).narrow(0, 0, n);  // a row's noise does not depend on n
}

// Adds the rows as they are stored with missing values imputed, and marks those of the input as NaN.
void add_imputed(const ReconstructOptions& options, const RunInUse& used, const Batch& batch,
                 NamedRows& results) {
  const SavedRun& run = used.run;
  torch::Tensor known = batch.x;
  if (writes_in_units(options.output, run)) {
    std::vector<int64_t> ids(static_cast<size_t>(batch.size()));
    std::iota(ids.begin(), ids.end(), int64_t{0});
    known = run.dataset->stored_split(used.split).read(ids).x.to(run.device);
  }
  const torch::Tensor means = impute(used, batch.size(), options.importance_samples);
  results.emplace_back("imputed",
                       torch::where(batch.observed, known, in_units_of_results(options.output, run, means)));
  if (!options.output.out.ends_with(".png"))
    results.front().second.masked_fill_(batch.observed.logical_not(), std::nan(""));
}

void reconstruct(const ReconstructOptions& options, const RunInUse& used) {
  if (!used.is_root()) return;
  const SavedRun& run = used.run;
  check_rows_output(options.output, run.checkpoint.data);
  if (options.importance_samples > 0 && !run.checkpoint.data.masked)
    usage_error("--importance_samples={}: imputes missing values, and {} has data.missing=refuse; expected 0",
                options.importance_samples, run.directory);
  require_density(used, options.importance_samples);

  const torch::NoGradGuard no_grad;
  const RowSource& source = used.rows();
  const Batch batch = run.rows(used.split, 0, std::min(options.n, source.rows()));
  const torch::Tensor reconstruction = run.model->decode_rows(run.model->encode(batch), batch);
  NamedRows results{{"x", in_units_of_results(options.output, run, batch.x.clone())},
                    {"reconstruction", in_units_of_results(options.output, run, reconstruction)}};
  if (batch.observed.defined()) add_imputed(options, used, batch, results);
  constexpr int64_t columns = 16;
  write_rows(options.output, std::move(results), std::min(columns, batch.size()), run.vocabulary());
}

}  // namespace

Command reconstruct_command() {
  return saved_run_command<ReconstructOptions>({"reconstruct",
                                                "RUN [DATA.h5] --out=FILE [--n=32] [--split=test]",
                                                "writes rows and their reconstructions",
                                                {}},
                                               RunWords::run_and_perhaps_data, reconstruct);
}

}  // namespace elbo
