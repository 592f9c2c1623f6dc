#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/commands/command.h"
#include "elbo/commands/saved_run_options.h"
#include "elbo/eval/evaluate.h"
#include "elbo/eval/map_rows.h"
#include "elbo/eval/output.h"
#include "elbo/run/device.h"
#include "elbo/run/saved_run.h"

namespace elbo {
namespace {

struct ScoreOptions : SavedRunOptions {
  int64_t importance_samples = 0;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_split(table);
    bind_checkpoint(table);
    table.add("importance_samples", importance_samples,
              "importance samples K: the score is -log p(x) estimated from them; 0: -ELBO, from one sample",
              Range::between(0, 1e8));
    bind_threads(table);
    output.bind(table, ".h5, with /score (N), in nats, and /label where there are any");
    return table;
  }
};

ExitCode score(const Environment& environment, const Words& words) {
  ScoreOptions options;
  OptionTable table = options.table();
  const std::optional<CommandLine> line =
      begin(score_command(), words, table, 2, 2, "the folder of a run and a data set");
  if (!line) return ExitCode::ok;
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const SavedRun run = open_run(*world, line->positional[0], options.checkpoint, line->positional[1]);
  const std::string split = run.choose_split(options.split, table.is_set("split"));
  const RowSource& source = run.dataset->split(split);
  if (environment.rank() == 0) check_output(options.output, {".h5"});

  const torch::NoGradGuard no_grad;
  const EvaluationOptions how = run.config->evaluation(split, options.importance_samples);
  RandomGenerator probe(Key(how.seed).with("probe"), torch::kCPU);
  if (how.importance_samples > 0 && !run.model->log_weights(run.rows(source, 0, 1), 1, probe))
    usage_error("--importance_samples={}: {} has no density to sample; expected 0, and its loss as the score",
                how.importance_samples, run.config->model->name());
  Workers workers(worker_count(options.threads, environment, torch::kCPU, source.rows()));
  const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
  map_rows(
      *world, workers, source, how.microbatch, {{"score", {}}},
      [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
        return score_rows(*models[static_cast<size_t>(worker)], run.rows(source, first, end), microbatch, how)
            .unsqueeze(1);
      },
      options.output.out);
  return ExitCode::ok;
}

}  // namespace

Command score_command() {
  return {"score", "RUN DATA.h5 --out=SCORES.h5 [--split=test] [--importance_samples=K]",
          "writes the anomaly score of every row: its -ELBO, or -log p(x); higher is more anomalous", score};
}

}  // namespace elbo
