#include "elbo/eval/evaluate.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "elbo/base/file.h"
#include "elbo/base/print.h"
#include "elbo/commands/evaluate_measures.h"
#include "elbo/commands/saved_run_command.h"
#include "elbo/eval/output.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

using nlohmann::ordered_json;

struct EvaluateRunOptions : SavedRunOptions {
  int64_t importance_samples = 0;
  MeasureOptions measures;
  std::string out;
  OptionTable table() {
    OptionTable table;
    bind_split(table);
    bind_run(table);
    bind_device(table);
    table.add("importance_samples", importance_samples,
              "importance samples K of the estimate of log p(x), in addition to the ELBO; papers use 5000; "
              "0: not computed",
              Range::between(0, 1e8));
    measures.bind(table);
    table.add_path("data", data, "another data set with rows of the same shape; empty: that of the run");
    bind_threads(table);
    table.add_path("out", out, "JSON file for the results; empty: evaluation.json in the folder of the run");
    return table;
  }
};

template <typename T>
ordered_json value_or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json to_json(const SavedRun& run, const Evaluation& evaluation) {
  ordered_json json{{"split", evaluation.split},   {"rows", evaluation.rows},
                    {"step", run.checkpoint.step}, {"fingerprint", run.checkpoint.fingerprint},
                    {"loss", evaluation.loss},     {"elbo", value_or_null(evaluation.elbo)}};
  if (evaluation.iwae_bound) json["iwae_bound"] = *evaluation.iwae_bound;
  for (const auto& [name, value] : evaluation.terms) json[name] = value;
  json["nll"] = value_or_null(evaluation.nll);
  json["importance_samples"] = evaluation.importance_samples;
  json["bits_per_dim"] = value_or_null(evaluation.bits_per_dim);
  if (evaluation.nats_per_step) json["nats_per_step"] = *evaluation.nats_per_step;
  if (evaluation.perplexity_per_token) json["perplexity_per_token"] = *evaluation.perplexity_per_token;
  json["mse"] = value_or_null(evaluation.mse);
  json["psnr"] = value_or_null(evaluation.psnr);
  if (evaluation.ndcg_100) {
    json["ndcg_100"] = *evaluation.ndcg_100;
    json["recall_20"] = value_or_null(evaluation.recall_20);
    json["recall_50"] = value_or_null(evaluation.recall_50);
  }
  json["active_units"] = value_or_null(evaluation.active_units);
  json["kl_per_dim"] = evaluation.kl_per_dim;
  if (!evaluation.code_uses.empty()) json["code_uses"] = evaluation.code_uses;
  return json;
}

// Objects inside objects have their names before those of their values.
void print_table(const ordered_json& json, const std::string& before = "") {
  for (const auto& [name, value] : json.items())
    if (value.is_object())
      print_table(value, before + name + ".");
    else if (value.is_number_float())
      print_escaped("{:<18} {:.4f}\n", before + name, value.get<double>());
    else if (!value.is_null() && !value.is_array())
      print_escaped("{:<18} {}\n", before + name,
                    value.is_string() ? value.get<std::string>() : value.dump());
}

void evaluate_run(const EvaluateRunOptions& options, const RunInUse& used) {
  const SavedRun& run = used.run;
  // The file in the folder of the run may be replaced; another file may not.
  const std::string own = (std::filesystem::path(run.directory) / "evaluation.json").string();
  if (!options.out.empty() && options.out != own) check_output({.out = options.out}, {".json"});
  const RowSource& rows = used.rows();
  require_density(used, options.importance_samples);

  Workers workers(worker_count(options.threads, used.environment, run.device, rows.rows()));
  const std::vector<std::shared_ptr<Model>> models = run.replicas(workers.count());
  const EvaluationOptions how =
      run.config->evaluation(run.checkpoint.data, used.split, options.importance_samples);
  const std::optional<Evaluation> result = evaluate(*used.world, workers, models, rows, how);
  if (!result) fail("{}: the evaluation was broken off", run.directory);
  const ordered_json measured =
      measure(options.measures, {.used = used, .workers = workers, .models = models, .how = how});
  if (!used.is_root()) return;
  ordered_json json = to_json(run, *result);
  json.update(measured);
  write_file(options.out.empty() ? own : options.out, json.dump(2) + "\n");
  print_table(json);
}

}  // namespace

Command evaluate_command() {
  return saved_run_command<EvaluateRunOptions>(
      {"evaluate",
       "RUN [DATA.h5] [--split=test] [--importance_samples=K] [--out=FILE.json]",
       "measures a model on every row of a split, once and exactly",
       {}},
      RunWords::run_and_perhaps_data, evaluate_run);
}

}  // namespace elbo
