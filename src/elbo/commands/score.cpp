#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/evaluate.h"
#include "elbo/eval/map_rows.h"
#include "elbo/eval/output.h"
#include "elbo/run/device.h"

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
    output.bind(
        table,
        ".h5, with /score (N), in nats, and /row, the number of each row in the data set; /label, /name and "
        "/split if there are any");
    return table;
  }
};

void score(const ScoreOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  const RowSource& source = used.rows();
  if (used.is_root()) check_output(options.output, {".h5"});

  const torch::NoGradGuard no_grad;
  const EvaluationOptions how =
      run.config->evaluation(run.checkpoint.data, used.split, options.importance_samples);
  require_density(used, options.importance_samples);
  Workers workers(worker_count(options.threads, used.environment, run.device, source.rows()));
  const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
  map_rows(
      *used.world, workers, source, how.microbatch, {{"score", {}}},
      [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
        return score_rows(*models[static_cast<size_t>(worker)], run.rows(used.split, first, end), microbatch,
                          how)
            .unsqueeze(1);
      },
      options.output.out);
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
