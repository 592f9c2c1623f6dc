#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>

#include "elbo/base/log.h"
#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/output.h"

namespace elbo {
namespace {

struct PredictOptions : SavedRunOptions {
  int64_t n = 16, from = 0, seed = 0;
  std::string elements = "mean";
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    table.add("n", n, "number of rows, from the beginning of the split", Range::between(1, 1 << 20));
    table.add("from", from,
              "prefix length in elements, including <bos> for tokens; 0: half of the longest length",
              Range::at_least(0));
    table.add_choice(
        "elements", elements, {"mean", "drawn"},
        "how new elements are chosen; mean: the mean, or the most probable token; drawn: a random sample");
    bind_split(table);
    table.add("seed", seed, "seed of the random numbers", Range::at_least(0));
    bind_run(table);
    bind_device(table);
    output.bind(
        table,
        ".png (video: a strip of the data above a strip of the prediction), .txt (tokens), .h5 or .csv");
    return table;
  }
};

// Prefix length of each row, in elements.
int64_t given_elements(const PredictOptions& options, const DataShape& data) {
  const int64_t time = data.x.front();
  if (time < 2) usage_error("elbo predict: a sequence of length 1 cannot be continued");
  if (options.from >= time)
    usage_error("--from={}: rows have {} elements; expected fewer", options.from, time);
  return options.from > 0 ? options.from : time / 2;
}

// Without the rows that end within the prefix.
Batch longer_than(const Batch& batch, int64_t given) {
  if (!batch.length.defined()) return batch;
  const torch::Tensor longer = batch.length.gt(given).nonzero().squeeze(1);
  if (longer.size(0) == 0)
    usage_error(
        "none of the {} rows has more than {} elements; expected a smaller --from, or more rows (--n)",
        batch.size(), given);
  if (longer.size(0) < batch.size())
    log::info("{} of {} rows end within {} elements and are left out", batch.size() - longer.size(0),
              batch.size(), given);
  const auto chosen = [&](const torch::Tensor& part) {
    return part.defined() ? part.index_select(0, longer.to(part.device())) : part;
  };
  return {chosen(batch.x), chosen(batch.label), chosen(batch.ids), chosen(batch.length),
          chosen(batch.observed)};
}

void predict(const PredictOptions& options, const RunInUse& used) {
  if (!used.is_root()) return;
  const SavedRun& run = used.run;
  check_rows_output(options.output, run.checkpoint.data);

  const torch::NoGradGuard no_grad;
  const RowSource& source = used.rows();
  RandomGenerator noise(Key(static_cast<uint64_t>(options.seed)).with("predict"), run.device);
  const auto predict = [&](const Batch& batch, int64_t given) {
    return run.model->continue_from(batch, {.prefix_length = given, .sample = options.elements == "drawn"},
                                    noise);
  };
  if (!predict(run.rows(used.split, 0, 1), 1))
    usage_error("{}: {} is not autoregressive; expected a run of sequence_vae or vrnn", run.directory,
                run.config->model->name());
  const int64_t given = given_elements(options, run.checkpoint.data);
  const Batch batch = longer_than(run.rows(used.split, 0, std::min(options.n, source.rows())), given);
  constexpr int64_t columns = 16;
  write_results(options.output, run,
                {{"x", batch.marked()}, {"prediction", predict(batch, given).value_or(torch::Tensor())}},
                std::min(columns, batch.size()));
}

}  // namespace

Command predict_command() {
  return saved_run_command<PredictOptions>(
      {"predict",
       "RUN [DATA.h5] --out=FILE [--from=T] [--elements=mean] [--n=16] [--split=test]",
       "continues sequences from their first elements",
       {}},
      RunWords::run_and_perhaps_data, predict);
}

}  // namespace elbo
