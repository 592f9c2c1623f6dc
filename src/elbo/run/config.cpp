#include "elbo/run/config.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/data_files.h"

namespace elbo {
namespace {

// Options of earlier versions, by their old and their new names.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> renamed_options{
    {{"data.window_bytes", "data.shuffle_buffer_bytes"},
     {"train.max_skipped", "train.max_nonfinite_steps"},
     {"run.other_data", "run.allow_data_change"},
     {"model.slope_penalty", "model.r1_penalty"}}};

// The present name of an option that was renamed, else "".
std::string_view new_name(std::string_view key) {
  const auto found = std::ranges::find(renamed_options, key, [](const auto& names) { return names.first; });
  return found == renamed_options.end() ? "" : found->second;
}

void set(OptionTable& table, const Setting& setting, const std::string& origin) {
  if (const std::string_view name = new_name(setting.first); !name.empty())
    usage_error("{}{}: was renamed to {}; write that instead", origin, setting.first, name);
  table.set(setting, origin);
}

// The configuration that the settings of a file and those of the command line, which win, give together.
std::unique_ptr<RunConfig> resolve(const std::vector<Setting>& from_file, const std::string& name,
                                   const std::vector<Setting>& overrides) {
  auto config = std::make_unique<RunConfig>();
  std::string model = "vae";
  for (const std::vector<Setting>* settings : std::array{&from_file, &overrides})
    for (const auto& [key, value] : *settings)
      if (key == "model.name") model = value;
  config->model = find_model(model);  // first, because which options there are depends on it

  OptionTable table = config->table();
  for (const Setting& setting : from_file) set(table, setting, name + ": ");
  for (const Setting& setting : overrides) set(table, setting, "--");

  TrainOptions& train = config->train;
  constexpr int64_t most_microbatches = 1 << 20;
  if (train.microbatch == 0) train.microbatch = std::min<int64_t>(train.batch, 64);
  if (train.batch % train.microbatch != 0)
    usage_error("train.microbatch={}: expected a divisor of train.batch={}; choose another of the two",
                train.microbatch, train.batch);
  if (config->microbatches() > most_microbatches)
    usage_error(
        "train.microbatch={}: makes {} microbatches of train.batch={}, at most {} can be; choose a larger "
        "one",
        train.microbatch, config->microbatches(), train.batch, most_microbatches);
  if (config->data.path.empty())
    usage_error(
        "data.path: no data set is named; give it in the configuration's [data] section or as elbo train "
        "DATA.h5");
  // run.ini and checkpoints mean the same files wherever the run is looked at from.
  config->data.path = absolute_data_path(config->data.path);
  config->run.directory = std::filesystem::absolute(config->directory()).lexically_normal();
  static_cast<void>(config->table().ini());  // what cannot be written down is reported now
  return config;
}

}  // namespace

void TrainOptions::bind(OptionTable& table) {
  table.add("train.steps", steps, "optimiser steps; 0: as many as train.epochs takes",
            Range::between(0, 1e15));
  table.add("train.epochs", epochs, "passes over the training split, where train.steps is 0",
            Range::between(1, 1e9));
  table.add("train.batch", batch, "samples of a step, over all ranks", Range::between(1, 1 << 24));
  table.add("train.microbatch", microbatch,
            "samples of one forward and backward pass; divides the batch; results depend on it, so it never "
            "follows from the "
            "number of ranks; 0: min(batch, 64)",
            Range::at_least(0));
  table.add("train.seed", seed, "every draw follows from it", Range::at_least(0));
  table.add_choice("train.device", device, {"auto", "cpu", "cuda"},
                   "where to compute; auto: a GPU where there is one");
  table.add_number_or(
      "train.threads", threads, {"auto"},
      "worker threads of a rank, each computing microbatches; auto: cores of the node / its ranks",
      Range::between(1, 1024));
  table.add_choice("train.precision", precision, {"float32", "bfloat16"},
                   "in which layers multiply; everything else, parameters and evaluations too, is float32");
  table.add_choice("train.communication", communication, {"auto", "mpi", "nccl"},
                   "what moves gradients and parameters; auto: NCCL between GPUs, MPI between CPUs");
  table.add(
      "train.bucket_bytes", bucket_bytes,
      "gradients that go on their way together, while the backward pass works on the next ones (at least "
      "64 KiB for each rank); 0: all at once, when it is over",
      Range::at_least(0));
  table.add("train.exact", exact, "the same bits for every number of ranks; false: the library's all-reduce");
  table.add("train.max_nonfinite_steps", max_nonfinite_steps,
            "consecutive steps skipped for a gradient that is not finite before the run ends as diverged",
            Range::at_least(0));
}

void EvaluateOptions::bind(OptionTable& table) {
  table.add_number_or(
      "evaluate.every", every, {"epoch", "never"},
      "how often the validation split (else test) is evaluated: epoch, never, or a number of steps",
      Range::at_least(1));
  table.add("evaluate.importance_samples", importance_samples,
            "K of the importance-weighted likelihood; 0: not computed", Range::between(0, 1e8));
  table.add("evaluate.microbatch", microbatch, "rows evaluated at once", Range::between(1, 1 << 20));
}

void CheckpointOptions::bind(OptionTable& table) {
  table.add("checkpoint.every_steps", every_steps, "steps between checkpoints; 0: only the last",
            Range::at_least(0));
  table.add("checkpoint.every_minutes", every_minutes, "minutes between checkpoints, too; 0: not by time",
            Range::at_least(0));
  table.add("checkpoint.keep_last", keep_last, "newest checkpoints that are kept; 0: all",
            Range::at_least(0));
  table.add("checkpoint.keep_every", keep_every,
            "checkpoints at multiples of so many steps are always kept; 0: none", Range::at_least(0));
}

void RunOptions::bind(OptionTable& table) {
  table.add_path("run.directory", directory, "folder of the run; empty: runs/NAME");
  table.add("run.name", name, "name of the run; empty: the model's");
  table.add_choice("run.resume", resume, {"never", "auto"},
                   "auto (or --resume): go on from the newest valid checkpoint, if there is one");
  table.add("run.allow_data_change", allow_data_change,
            "go on although the data are not those of the checkpoint: rows came or were corrected");
  table.add("run.timeout", timeout, "seconds that a rank waits for the others before it ends the job",
            Range::above(0));
  table.add("run.metrics_every", metrics_every, "steps between lines of metrics.jsonl", Range::at_least(1));
}

EvaluationOptions RunConfig::evaluation(const std::string& split, int64_t importance_samples) const {
  return {.split = split,
          .microbatch = evaluate.microbatch,
          .importance_samples = importance_samples,
          .binarize = data.binarize,
          .seed = static_cast<uint64_t>(train.seed)};
}

std::string RunConfig::directory() const {
  if (!run.directory.empty()) return run.directory;
  return "runs/" + (run.name.empty() ? model->name() : run.name);
}

OptionTable RunConfig::table() {
  OptionTable table;
  data.bind(table);
  model_name_ = model->name();
  std::vector<std::string> names;
  for (const auto& spec : all_models()) names.push_back(spec->name());
  table.add_choice("model.name", model_name_, names, "the variant; `elbo models` lists them");
  model->bind(table);
  network.bind(table);
  optimizer.bind(table);
  train.bind(table);
  evaluate.bind(table);
  checkpoint.bind(table);
  run.bind(table);
  return table;
}

std::string RunConfig::saved_ini() { return table().ini({{"run.resume", "never"}}); }

OptionKind run_option_kind(const std::string& key) {
  for (std::unique_ptr<ModelSpec>& model : all_models()) {
    RunConfig config;
    config.model = std::move(model);
    if (const OptionKind kind = config.table().kind(key); kind != OptionKind::unknown) return kind;
  }
  return OptionKind::unknown;
}

std::unique_ptr<RunConfig> parse_config(const std::string& ini, const std::string& name,
                                        const std::vector<Setting>& overrides) {
  return resolve(parse_ini(ini, name), name, overrides);
}

std::unique_ptr<RunConfig> saved_config(const std::string& ini, const std::string& name) {
  std::vector<Setting> settings = parse_ini(ini, name);
  for (auto& [key, value] : settings)
    if (const std::string_view present = new_name(key); !present.empty()) key = present;
  return resolve(settings, name, {});
}

void require_same_experiment(RunConfig& now, RunConfig& before, const std::string& where) {
  // What a continued run may change: its length, its resources, its cadence, where things lie.
  static const std::vector<std::string> free{"data.path",          "data.prefetch",
                                             "data.stage",         "train.steps",
                                             "train.epochs",       "train.device",
                                             "train.threads",      "train.communication",
                                             "train.bucket_bytes", "train.max_nonfinite_steps"};
  const auto decides = [](const std::string& key) {
    const std::string section = key.substr(0, key.find('.'));
    return section != "run" && section != "checkpoint" && section != "evaluate" &&
           std::ranges::find(free, key) == free.end();
  };
  const std::vector<Setting> ours = parse_ini(now.table().ini(), "this run");
  const std::vector<Setting> theirs = parse_ini(before.table().ini(), where);
  for (const auto& [key, value] : ours) {
    if (!decides(key)) continue;
    const auto other = std::ranges::find(theirs, key, &Setting::first);
    const std::string was = other == theirs.end() ? "not an option" : other->second;
    if (was != value)
      usage_error(
          "{}={}: the checkpoint {} was made with {}={}; resume with its value, or start a new run in "
          "another folder",
          key, value, where, key, was);
  }
}

}  // namespace elbo
