#include <fmt/format.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/print.h"
#include "elbo/base/text.h"
#include "elbo/commands/rows_out.h"
#include "elbo/data/description.h"
#include "elbo/eval/anomaly_scores.h"
#include "elbo/eval/detection.h"
#include "elbo/eval/evaluate.h"
#include "elbo/eval/map_rows.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

struct ScoreOptions : SavedRunOptions {
  int64_t importance_samples = 0;
  std::string by = "auto";
  double false_alarms = 0;
  OutputOptions output;
  OptionTable table() {
    OptionTable table;
    bind_split(table);
    bind_run(table);
    bind_device(table);
    table.add("importance_samples", importance_samples,
              "importance samples K: the score is -log p(x) estimated from them; 0: -ELBO, from one sample",
              Range::between(0, 1e8));
    table.add_choice(
        "by", by, {"auto", "negative_elbo", "squared_error", "relative_error", "deviance"},
        "the score; negative_elbo: the mean over K samples of z; squared_error: of the reconstruction, "
        "per element; relative_error: of the reconstruction, divided by the squares of x: of images the "
        "error in relation to their ink; deviance: of p(x|z); auto: -log p(x) or -ELBO");
    table.add("false_alarms", false_alarms,
              "share of the run's own validation rows, or training rows if there are none, that may score "
              "above the "
              "threshold: prints the threshold and the most anomalous rows, and marks the rows above it in "
              "the file; "
              "0: no threshold",
              Range::between(0, 0.5));
    bind_threads(table);
    output.bind_rows(table,
                     "score (N), in nats, with number, name and label of each row; with --false_alarms also "
                     "anomaly (N), and of tables strangest and deviation (N, 3)");
    return table;
  }
};

// The scores of rows by one name.
class Scorer {
 public:
  Scorer(const ScoreOptions& options, const RunInUse& used)
      : by_(options.by),
        how_(used.run.config->evaluation(used.run.checkpoint.data, used.split, options.importance_samples)) {
    if (by_ == "auto") return;
    const torch::NoGradGuard no_grad;
    const Batch one = used.run.rows(used.split, 0, 1);
    has_bound_ = has_bound(*used.run.model, one);
    std::vector<std::string> names;
    for (const auto& [name, values] : anomaly_scores(*used.run.model, one, 0, how_, has_bound_))
      names.push_back(name);
    if (std::ranges::find(names, by_) == names.end())
      usage_error("--by={}: {} with its likelihood gives {}; choose one of them, or auto", by_,
                  used.run.config->model->name(), join(names, ", "));
  }

  const EvaluationOptions& how() const { return how_; }
  // (b)
  torch::Tensor of(Model& model, const Batch& batch, int64_t microbatch) const {
    if (by_ == "auto") return score_rows(model, batch, microbatch, how_);
    NamedScores scores = anomaly_scores(model, batch, microbatch, how_, has_bound_);
    return std::ranges::find(scores, by_, &NamedScores::value_type::first)->second;
  }

 private:
  std::string by_;
  EvaluationOptions how_;
  bool has_bound_ = false;
};

// What rows are compared with: the run's own rows.
struct Reference {
  std::string split;
  int64_t rows = 0;
  double threshold = 0;
  torch::Tensor usual_error;  // (columns): the root of the mean squared error of tables, on every rank
};

bool is_table(const SavedRun& run) {
  return run.checkpoint.data.x.size() == 1 && run.checkpoint.data.tokens == 0 && run.model->likelihood();
}

// Collective.
Reference compare_with(const ScoreOptions& options, const RunInUse& own, const Scorer& scorer) {
  const int64_t rows = own.rows().rows(),
                columns = is_table(own.run) ? own.run.checkpoint.data.features() : 0;
  Workers workers(worker_count(options.threads, own.environment, own.run.device, rows));
  const std::vector<std::shared_ptr<Model>> models = own.run.replicas(workers.count());
  std::vector<RowOutput> outputs{{"score", {}}};
  if (columns > 0) outputs.push_back({"squares", {columns}});
  torch::Tensor squares = torch::zeros({columns}, torch::kFloat64), scores = torch::empty({rows});
  map_rows(
      *own.world, workers, rows, scorer.how().microbatch, outputs,
      [&](int worker, int64_t microbatch, int64_t first, int64_t end) {
        const Batch batch = own.run.rows(own.split, first, end);
        Model& model = *models[static_cast<size_t>(worker)];
        std::vector<torch::Tensor> values{scorer.of(model, batch, microbatch)};
        if (columns > 0) values.push_back(residuals(model, batch).square());
        return values;
      },
      [&](int64_t first, const std::vector<torch::Tensor>& values) {
        scores.slice(0, first, first + values[0].size(0)).copy_(values[0]);
        if (columns > 0) squares += values[1].sum(0, /*keepdim=*/false, torch::kFloat64);
      });
  torch::Tensor result = torch::cat({torch::zeros({1}, torch::kFloat64), (squares / rows).sqrt()});
  if (own.is_root()) result[0] = threshold_of_false_alarms(scores, options.false_alarms);
  own.world->broadcast(result, 0);
  return {own.split, rows, result[0].item<double>(), result.slice(0, 1).to(torch::kFloat32)};
}

// The most anomalous of the rows that go by, for the root.
class MostAnomalous {
 public:
  MostAnomalous(std::vector<std::string> columns, double threshold)
      : columns_(std::move(columns)), threshold_(threshold) {}

  void see(const ResultRows& results) {
    for (int64_t row = 0; row < results.rows(); ++row) {
      const auto score = results.values[0][row].item<float>();
      if (static_cast<double>(score) > threshold_) ++alarms_;
      if (found_.size() == shown && score <= found_.back().score) continue;
      found_.push_back({score, results.identities[static_cast<size_t>(row)], reason(results, row)});
      std::ranges::stable_sort(found_, std::greater<>(), &Row::score);
      if (found_.size() > shown) found_.pop_back();
    }
    rows_ += results.rows();
  }

  void print(const Reference& reference, double false_alarms) const {
    fmt::print("threshold {:.6g}: {:g} % of {} {} rows score above it\n", reference.threshold,
               100 * false_alarms, reference.rows, reference.split);
    fmt::print("anomalies {} of {} rows\n", alarms_, rows_);
    for (const Row& row : found_)
      print_escaped("{} {}{}  {:.6g}{}\n", row.identity.split.empty() ? "row" : row.identity.split,
                    row.identity.row, row.identity.name.empty() ? "" : " " + row.identity.name, row.score,
                    row.reason);
  }

 private:
  static constexpr size_t shown = 10;
  struct Row {
    float score;
    RowIdentity identity;
    std::string reason;
  };

  std::string reason(const ResultRows& results, int64_t row) const {
    std::string text;
    if (results.values.size() < 4) return text;
    for (int64_t i = 0; i < results.values[2].size(1); ++i) {
      const auto column = static_cast<size_t>(results.values[2][row][i].item<float>());
      text += fmt::format("{}{} {:+.1f}", i == 0 ? "  " : ", ",
                          column < columns_.size() ? columns_[column] : fmt::format("column {}", column),
                          results.values[3][row][i].item<float>());
    }
    return text;
  }

  std::vector<std::string> columns_;
  double threshold_;
  int64_t alarms_ = 0, rows_ = 0;
  std::vector<Row> found_;
};

// score, anomaly and, of tables, the columns that deviate most from their reconstruction, in units of what is
// usual in the reference.
std::vector<torch::Tensor> explained(const torch::Tensor& score, const Reference& reference, Model& model,
                                     const Batch& batch, int64_t shown) {
  constexpr double least = 1e-6;  // of the error of a column that is always reconstructed exactly
  std::vector<torch::Tensor> values{score, score.gt(reference.threshold).to(torch::kFloat32)};
  if (shown == 0) return values;
  const torch::Tensor deviation =
      residuals(model, batch) / reference.usual_error.to(batch.x.device()).clamp_min(least);
  const torch::Tensor columns = std::get<1>(deviation.abs().topk(shown, 1));
  values.push_back(columns.to(torch::kFloat32));
  values.push_back(deviation.gather(1, columns));
  return values;
}

void score_with_threshold(const ScoreOptions& options, const RunInUse& used, const RunInUse& own,
                          const Scorer& scorer, RowsOut rows) {
  constexpr int64_t most_columns = 3;
  const torch::NoGradGuard no_grad;
  const Reference reference = compare_with(options, own, Scorer(options, own));
  const int64_t shown = std::min(most_columns, reference.usual_error.size(0));
  rows.outputs.push_back({"anomaly", {}});
  if (shown > 0) {
    rows.outputs.push_back({"strangest", {shown}});
    rows.outputs.push_back({"deviation", {shown}});
  }
  std::vector<std::string> columns;
  if (const std::string path = used.run.description_file(); used.is_root() && !path.empty()) {
    const auto lock = hdf5::lock();
    columns = describe_data(DataFile(path)).columns;
  }
  MostAnomalous most(std::move(columns), reference.threshold);
  rows.seen = [&](const ResultRows& results) { most.see(results); };
  write_rows(options.output, used, options.threads, rows,
             [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
               const Batch batch = used.run.rows(used.split, first, end);
               return explained(scorer.of(model, batch, microbatch), reference, model, batch, shown);
             });
  if (used.is_root()) most.print(reference, options.false_alarms);
}

// The run with its own rows, whose scores are usual.
RunInUse reference_of(const ScoreOptions& options, const RunInUse& used) {
  RunInUse own{.environment = used.environment,
               .world = used.environment.make_world(options.timeout),
               .run = {},
               .split = {}};
  own.run = open_run(*own.world, used.run.directory, options.checkpoint, "", DataNeed::rows, used.run.device);
  own.split = own.run.dataset->has("validation") ? "validation" : "train";
  return own;
}

void score(const ScoreOptions& options, const RunInUse& used) {
  const RowSource& source = used.rows();
  require_density(used, options.importance_samples);
  const Scorer scorer(options, used);
  const RowsOut rows{.outputs = {{"score", {}}}, .rows = source.rows(), .source = &source};
  if (options.false_alarms > 0)
    return score_with_threshold(options, used, reference_of(options, used), scorer, rows);
  write_rows(options.output, used, options.threads, rows,
             [&](Model& model, int64_t microbatch, int64_t first, int64_t end) {
               return std::vector{scorer.of(model, used.run.rows(used.split, first, end), microbatch)};
             });
}

}  // namespace

Command score_command() {
  return saved_run_command<ScoreOptions>(
      {"score",
       "RUN DATA.h5 --out=SCORES.h5 [--split=all] [--importance_samples=K] [--false_alarms=0.01]",
       "writes the anomaly score of every row: its -ELBO, or -log p(x); higher is more anomalous",
       {}},
      RunWords::run_and_data, score);
}

}  // namespace elbo
