#include "elbo/commands/impute.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/commands/rows_out.h"

namespace elbo {
namespace {

struct ImputeOptions : SavedRunOptions {
  int64_t importance_samples = 0;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_split(table);
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    table.add("importance_samples", importance_samples, imputation_samples_help, Range::between(0, 1 << 16));
    output.bind_rows(table, "the rows with missing values filled in");
    return table;
  }
};

void impute(const ImputeOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  if (!run.checkpoint.data.masked)
    usage_error(
        "elbo impute: {} was trained with data.missing=refuse, so it knows no missing values; train with "
        "data.missing=mask",
        run.directory);
  require_imputation(used, options.importance_samples);
  const RowSource& source = used.rows();
  const bool in_units = writes_in_units(options.output, run);
  write_rows(
      options.output, used, options.threads,
      {.outputs = {{"x", run.checkpoint.data.x, true}},
       .rows = source.rows(),
       .source = &source,
       .already_in_units = {"x"}},
      [&](Model& model, int64_t /*microbatch*/, int64_t first, int64_t end) {
        return std::vector{completed_rows(used, model, first, end, options.importance_samples, in_units)};
      });
}

}  // namespace

torch::Tensor stored_rows(const RunInUse& used, int64_t first, int64_t end) {
  std::vector<int64_t> ids(static_cast<size_t>(end - first));
  std::iota(ids.begin(), ids.end(), first);
  return used.run.dataset->stored_split(used.split).read(ids).x.to(used.run.device);
}

void require_imputation(const RunInUse& used, int64_t importance_samples) {
  if (importance_samples > 0 && !used.run.checkpoint.data.masked)
    usage_error("--importance_samples={}: imputes missing values, and {} has data.missing=refuse; expected 0",
                importance_samples, used.run.directory);
  require_density(used, importance_samples);
}

torch::Tensor completed_rows(const RunInUse& used, Model& model, int64_t first, int64_t end,
                             int64_t importance_samples, bool in_units) {
  constexpr int64_t usual_samples = 100, decoded_rows = 4096;
  const SavedRun& run = used.run;
  const int64_t k = importance_samples == 0 ? usual_samples : importance_samples;
  const int64_t at_once = std::max<int64_t>(1, decoded_rows / k);
  const Key key = Key(static_cast<uint64_t>(run.config->train.seed)).with("impute").with(used.split);
  std::vector<torch::Tensor> parts;
  parts.reserve(static_cast<size_t>((end - first) / at_once + 1));
  for (int64_t begin = first; begin < end; begin += at_once) {
    RandomGenerator noise(key.with(static_cast<uint64_t>(begin)), run.device);
    const int64_t until = std::min(begin + at_once, end);
    const Batch batch = run.rows(used.split, begin, until);
    torch::Tensor mean = model.impute(batch, k, noise);
    if (in_units) mean = model.transform().undo(mean);
    const torch::Tensor known = in_units ? stored_rows(used, begin, until) : batch.x;
    parts.push_back(torch::where(batch.observed, known, mean));
  }
  return torch::cat(parts);
}

Command impute_command() {
  return saved_run_command<ImputeOptions>({"impute",
                                           "RUN DATA.h5 --out=FILE [--importance_samples=K]",
                                           "fills in missing values, for a run with data.missing=mask",
                                           {}},
                                          RunWords::run_and_perhaps_data, impute);
}

}  // namespace elbo
