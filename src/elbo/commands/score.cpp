#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/rows_out.h"
#include "elbo/eval/evaluate.h"

namespace elbo {
namespace {

struct ScoreOptions : SavedRunOptions {
  int64_t importance_samples = 0;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_split(table);
    bind_run(table);
    bind_device(table);
    table.add("importance_samples", importance_samples,
              "importance samples K: the score is -log p(x) estimated from them; 0: -ELBO, from one sample",
              Range::between(0, 1e8));
    bind_threads(table);
    output.bind_rows(table, "score (N), in nats, with number, name and label of each row");
    return table;
  }
};

void score(const ScoreOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  const RowSource& source = used.rows();
  require_density(used, options.importance_samples);
  const EvaluationOptions how =
      run.config->evaluation(run.checkpoint.data, used.split, options.importance_samples);
  write_rows(options.output, used, options.threads,
             {.outputs = {{"score", {}}}, .rows = source.rows(), .source = &source},
             [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
               return std::vector{score_rows(model, run.rows(used.split, first, end), microbatch, how)};
             });
}

}  // namespace

Command score_command() {
  return saved_run_command<ScoreOptions>(
      {"score",
       "RUN DATA.h5 --out=SCORES.h5 [--split=all] [--importance_samples=K]",
       "writes the anomaly score of every row: its -ELBO, or -log p(x); higher is more anomalous",
       {}},
      RunWords::run_and_data, score);
}

}  // namespace elbo
