#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/commands/impute.h"
#include "elbo/commands/rows_out.h"

namespace elbo {
namespace {

struct ReconstructOptions : SavedRunOptions {
  std::string n = "auto";
  int64_t importance_samples = 0;
  DrawOptions draw;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_rows_asked(table, n, 32);
    bind_split(table);
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    draw.bind(table, "mean");
    table.add("importance_samples", importance_samples, imputation_samples_help, Range::between(0, 1 << 16));
    output.bind_rows(
        table,
        "x, the rows, and their reconstruction (alone where there is room for one); of a run with "
        "data.missing=mask also imputed, the rows as they are stored with missing values filled in");
    return table;
  }
};

void reconstruct(const ReconstructOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  require_imputation(used, options.importance_samples);
  const torch::NoGradGuard no_grad;
  const RowSource& source = used.rows();
  const Elements how = options.draw.how(Elements::mean);
  const std::vector<int64_t>& row = run.checkpoint.data.x;
  RowsOut rows{.outputs = {{"x", row, true}, {"reconstruction", row, true, how == Elements::mean}},
               .rows = rows_asked(options.n, 32, options.output, source),
               .main = 1,
               .source = &source};
  const bool masked = run.checkpoint.data.masked, in_units = writes_in_units(options.output, run);
  // The transform and its inverse would round the rows.
  const bool as_stored =
      in_units && !run.model->transform().is_identity() && run.config->data.binarize == "none";
  if (as_stored) rows.already_in_units = {"x"};
  if (masked) {
    rows.outputs.push_back({"imputed", row, true});
    rows.already_in_units.emplace_back("imputed");
  }
  write_rows(
      options.output, used, options.threads, rows,
      [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
        const Batch batch = run.rows(used.split, first, end);
        RandomGenerator noise(options.draw.key("reconstruct").with(static_cast<uint64_t>(microbatch)),
                              run.device);
        const Latent code = model.encode(batch);
        const torch::Tensor made = model.decode_as(
            code.z, batch.label,
            {.how = how, .temperature = options.draw.temperature, .noise = &noise, .rows = batch.x});
        const Batch shown = as_stored ? batch.with_x(stored_rows(used, first, end)) : batch;
        std::vector<torch::Tensor> outputs{options.output.is_picture() ? shown.x : shown.marked(), made};
        if (masked)
          outputs.push_back(completed_rows(used, model, first, end, options.importance_samples, in_units));
        return outputs;
      });
}

}  // namespace

Command reconstruct_command() {
  return saved_run_command<ReconstructOptions>({"reconstruct",
                                                "RUN [DATA.h5] --out=FILE [--n=all] [--split=test]",
                                                "writes rows and their reconstructions",
                                                {}},
                                               RunWords::run_and_perhaps_data, reconstruct);
}

}  // namespace elbo
