// Style transfer: the code of a row, decoded with another condition than its own.
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/rows_out.h"

namespace elbo {
namespace {

struct TransferOptions : SavedRunOptions {
  std::string label, n = "auto";
  DrawOptions draw;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add(
        "label", label,
        "condition of the results: a class by its name or number, or the values of a label separated by "
        "commas");
    bind_rows_asked(table, n, 32);
    bind_split(table);
    bind_run(table);
    bind_device(table);
    bind_threads(table);
    draw.bind(table, "mean");
    output.bind_rows(table, "the rows with the new label");
    return table;
  }
};

void transfer(const TransferOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  if (!run.model->conditional())
    usage_error(
        "elbo transfer: the model of {}, {}, has no condition to exchange; cvae has one, and aae with "
        "model.use_labels",
        run.directory, run.config->model->name());
  if (options.label.empty())
    usage_error("elbo transfer: --label is missing; expected the class or values that the results have");
  const torch::NoGradGuard no_grad;
  const RowSource& source = used.rows();
  const int64_t n = rows_asked(options.n, 32, options.output, source);
  const torch::Tensor label = labels_for(run, options.label, n);
  const Elements how = options.draw.how(Elements::mean);
  write_rows(options.output, used, options.threads,
             {.outputs = {{"x", run.checkpoint.data.x, true, how == Elements::mean}},
              .rows = n,
              .source = &source,
              .label = label},
             [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
               RandomGenerator noise(options.draw.key("transfer").with(static_cast<uint64_t>(microbatch)),
                                     run.device);
               const Batch batch = run.rows(used.split, first, end);
               return std::vector{model.decode_as(
                   model.encode(batch).z, label.slice(0, first, end),
                   {.how = how, .temperature = options.draw.temperature, .noise = &noise, .rows = batch.x})};
             });
}

}  // namespace

Command transfer_command() {
  return saved_run_command<TransferOptions>(
      {"transfer",
       "RUN [DATA.h5] --label=CLASS --out=FILE [--split=test]",
       "encodes rows with their own label and decodes them with another, for conditional models",
       {}},
      RunWords::run_and_perhaps_data, transfer);
}

}  // namespace elbo
