#include "elbo/run/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/data_files.h"
#include "elbo/eval/evaluation_metrics.h"
#include "elbo/nn/likelihood.h"
#include "elbo/run/unused_settings.h"

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

// What rows must be for the model's likelihood, if it has one.
ValueRule rule_of_likelihood(const OptionTable& table) {
  const std::string name = table.value("model.likelihood");
  const Support support = likelihood_support(name);
  if (support == Support::real) return {};
  std::string remedy;
  if (support == Support::unit_interval) remedy = "use data.normalize=unit, or ";
  if (support == Support::counts)
    remedy = "name the raw counts by data.x, such as /layers/counts or /raw/X, or ";
  return {support, fmt::format("model.likelihood={} needs {}; {}use another likelihood, such as gaussian",
                               name, describe(support), remedy)};
}

// Distributions of counts take the counts as they are; the networks may see another form of them.
void settle_input(RunConfig& config, const OptionTable& table) {
  const bool counts = config.data.values.support == Support::counts;
  std::string& normalize = config.data.normalize;
  if (counts && normalize != "auto" && normalize != "none")
    usage_error(
        "data.normalize={}: model.likelihood={} needs the counts themselves; use data.normalize=none, and "
        "network.input for what the networks see",
        normalize, table.value("model.likelihood"));
  if (config.network.input == "auto") config.network.input = counts ? "log1p" : "raw";
}

// Throws a usage Error for a likelihood of shares of the row's sum, which is unknown where elements are
// missing.
void require_sums_of_rows(const OptionTable& table) {
  if (table.value("data.missing") != "mask") return;
  for (const auto& [key, value] :
       {std::pair{"model.likelihood", "multinomial"}, std::pair{"model.library", "observed"}})
    if (table.value(key) == value)
      usage_error(
          "data.missing=mask: {}={} needs the sum of each row, which is unknown where values are missing; "
          "use a likelihood of single elements, such as poisson with model.library=none, or fill the values "
          "in",
          key, value);
}

// The value that the last setting of the key gives, else "".
std::string given(const std::vector<Setting>& settings, const std::string& key) {
  const auto last = std::find_if(settings.rbegin(), settings.rend(),
                                 [&](const Setting& setting) { return setting.first == key; });
  return last == settings.rend() ? "" : last->second;
}

// train.steps and train.epochs both say how long a run is. The command line wins over the file; what does not
// count becomes 0. A file that elbo wrote earlier may have both: there the steps count.
void settle_length(TrainOptions& train, const std::vector<Setting>& from_file, const std::string& name,
                   const std::vector<Setting>& overrides, bool written_by_elbo) {
  bool by_steps = false;
  for (const std::vector<Setting>* settings : std::array{&from_file, &overrides}) {
    const std::string steps = given(*settings, "train.steps"), epochs = given(*settings, "train.epochs");
    const bool has_steps = !steps.empty() && steps != "0", has_epochs = !epochs.empty() && epochs != "0";
    const bool is_file = settings == &from_file;
    if (has_steps && has_epochs && !(is_file && written_by_elbo))
      usage_error("{}train.steps={} and train.epochs={}: both say how long the run is; give one of them",
                  is_file ? name + ": " : "--", steps, epochs);
    if (has_steps || has_epochs || steps == "0") by_steps = has_steps;
  }
  if (by_steps) train.epochs = 0;
  if (!by_steps) train.steps = 0;
  if (train.steps == 0 && train.epochs == 0)
    usage_error("train.epochs=0: the run has no length; expected at least 1, or train.steps");
}

// The configuration that the settings of a file and those of the command line, which win, give together.
std::unique_ptr<RunConfig> resolve(const std::vector<Setting>& from_file, const std::string& name,
                                   const std::vector<Setting>& overrides, bool written_by_elbo) {
  auto config = std::make_unique<RunConfig>();
  std::string model = "vae";
  for (const std::vector<Setting>* settings : std::array{&from_file, &overrides})
    for (const auto& [key, value] : *settings)
      if (key == "model.name") model = value;
  config->model = find_model(model);  // first, because which options there are depends on it

  OptionTable table = config->table();
  for (const Setting& setting : from_file) set(table, setting, name + ": ");
  for (const Setting& setting : overrides) set(table, setting, "--");
  for (const Setting& setting : changed_settings(*config)) set(table, setting, "run.change: ");

  if (!written_by_elbo) require_settings_with_effect(table);
  require_sums_of_rows(table);
  settle_length(config->train, from_file, name, overrides, written_by_elbo);

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
  if (train.kernels == "portable" && train.precision != "float32")
    usage_error(
        "train.kernels=portable: computes in float32 only, not train.precision={}; use train.kernels=auto",
        train.precision);
  if (config->data.path.empty())
    usage_error(
        "data.path: no data set is named; give it in the configuration's [data] section or as elbo train "
        "DATA.h5");
  if (!train.init_from.empty())
    train.init_from = std::filesystem::absolute(train.init_from).lexically_normal();
  // run.ini and checkpoints mean the same files wherever the run is looked at from.
  config->data.path = absolute_data_path(config->data.path);
  config->run.directory = std::filesystem::absolute(config->directory()).lexically_normal();
  static_cast<void>(config->table().ini());  // what cannot be written down is reported now
  config->data.values = rule_of_likelihood(table);
  static_cast<void>(named_measures("evaluate.metrics", config->evaluate.metrics));
  settle_input(*config, table);
  return config;
}

}  // namespace

void TrainOptions::bind(OptionTable& table) {
  table.add("train.steps", steps, "optimiser steps of the run; 0: the number that train.epochs takes",
            Range::between(0, 1e15));
  table.add(
      "train.epochs", epochs,
      "passes over the training split; a run has train.steps or train.epochs: 0 where train.steps counts",
      Range::between(0, 1e9));
  table.add("train.batch", batch, "samples of one optimiser step, over all ranks",
            Range::between(1, 1 << 24));
  table.add("train.microbatch", microbatch,
            "samples of one forward and backward pass, a divisor of train.batch; memory grows with it, and "
            "at most train.batch / train.microbatch workers compute in parallel; results depend on it, so it "
            "never follows from the number of ranks; 0: min(train.batch, 64)",
            Range::at_least(0));
  table.add("train.seed", seed, "seed of all random numbers: parameters, order of rows, noise",
            Range::at_least(0));
  table.add_choice("train.device", device, {"auto", "cpu", "cuda"},
                   "where to compute; auto: a GPU if there is one, chosen by the rank's number on its host");
  table.add_number_or(
      "train.threads", threads, {"auto"},
      "worker threads of a rank, each of which computes one microbatch at a time; auto: the cores of the "
      "host, or the CPU quota of its container, divided among its ranks, at most one thread for each "
      "microbatch of the rank",
      Range::between(1, 1024));
  table.add_choice("train.precision", precision, {"float32", "tf32", "bfloat16"},
                   "type of the factors in matrix products and convolutions; with bfloat16, sums, densities, "
                   "parameters, gradients, the optimiser and evaluations stay float32; tf32: float32 whose "
                   "factors a GPU rounds to 10 bits, in evaluations during training, too");
  table.add_choice(
      "train.kernels", kernels, {"auto", "portable", "library"},
      "what computes; portable: elbo's own kernels, which add in one order and have one "
      "definition of each function, with the same bits on every CPU, and on a GPU with "
      "train.exact=true; library: LibTorch, whose bits depend on the CPU or GPU; auto: portable in "
      "a run on CPUs in float32, otherwise library");
  table.add_choice("train.communication", communication, {"auto", "mpi", "nccl"},
                   "what transfers gradients and parameters; nccl: between GPUs; mpi: through host memory; "
                   "auto: nccl if the ranks compute on GPUs, else mpi");
  table.add("train.bucket_bytes", bucket_bytes,
            "size of a gradient bucket, whose reduction overlaps with the rest of the backward pass, at "
            "least 64 KiB for each rank; 0: one reduction after the backward pass; results depend on it only "
            "with train.exact=false",
            Range::at_least(0));
  table.add("train.exact", exact,
            "the same bits for every number of ranks; false: the all-reduce of MPI or NCCL, whose order of "
            "addition depends on the number of ranks");
  table.add_path(
      "train.init_from", init_from,
      "folder of a run whose newest parameters are the first ones of this run; the model must have "
      "the same shapes; empty: parameters are drawn from the seed");
  table.add("train.init_modules", init_modules,
            "modules, such as encoder,decoder.mlp, whose parameters train.init_from gives: beginnings of the "
            "names that elbo inspect lists, with commas; empty: all");
  table.add("train.max_nonfinite_steps", max_nonfinite_steps,
            "consecutive steps that may be skipped because the loss or a gradient is not finite; one more "
            "ends the run as diverged",
            Range::at_least(0));
  table.add("train.spike_factor", spike_factor,
            "skip steps, like those that are not finite, whose loss exceeds its moving average over about 50 "
            "steps by "
            "more than this number of times its mean distance from it; not in the first 100 steps; 0: none",
            Range::at_least(0));
  table.add(
      "train.lr_after_divergence", lr_after_divergence,
      "factor of the learning rate when a run that has diverged goes back to its last checkpoint, once; 0: "
      "the run ends",
      Range::between(0, 1));
}

void EvaluateOptions::bind(OptionTable& table) {
  table.add_number_or(
      "evaluate.every", every, {"epoch", "never"},
      "how often the validation split, or the test split if there is none, is evaluated: epoch, never, or a "
      "number of steps; only a validation split decides which checkpoint is the best",
      Range::at_least(1));
  table.add_choice(
      "evaluate.best", best, metrics_that_compare(),
      "in which measure of the validation split the best checkpoint is the best; loss, reconstruction, nll, "
      "bits_per_dim, mse: the lowest; psnr, ndcg_100, recall_20, recall_50: the highest (docs/metrics.md); "
      "evaluate.patience and optimizer.schedule=plateau follow it, too");
  table.add(
      "evaluate.patience", patience,
      "early stopping: the run ends after this number of evaluations in a row that were not better than "
      "the best one before by evaluate.min_delta; 0: it does not; needs a validation split",
      Range::at_least(0));
  table.add("evaluate.min_delta", min_delta,
            "how much better, in the unit of evaluate.best, an evaluation "
            "must be to count as a gain",
            Range::at_least(0));
  table.add("evaluate.importance_samples", importance_samples,
            "importance samples K of the estimate of log p(x) in these evaluations (Burda et al. 2016); 0: "
            "not computed",
            Range::between(0, 1e8));
  table.add("evaluate.microbatch", microbatch,
            "rows evaluated at once; the last digits of results depend on it, but not on the number of ranks",
            Range::between(1, 1 << 20));
  table.add(
      "evaluate.metrics", metrics,
      "what elbo evaluate measures besides losses, once training has ended: auto, none, or some of "
      "ais, anomalies, classes, factors, information, samples, similarity and texts with commas between; "
      "auto: what the data allow, but for ais");
}

void CheckpointOptions::bind(OptionTable& table) {
  table.add("checkpoint.every_steps", every_steps, "steps between checkpoints; 0: only the last and the best",
            Range::at_least(0));
  table.add("checkpoint.every_minutes", every_minutes,
            "minutes between checkpoints, in addition to checkpoint.every_steps; 0: none by time",
            Range::at_least(0));
  table.add("checkpoint.keep_last", keep_last,
            "number of the newest checkpoints that are kept; the best by validation loss is always kept; 0: "
            "all are kept",
            Range::at_least(0));
  table.add("checkpoint.keep_every", keep_every,
            "checkpoints at multiples of this number of steps are kept for ever; 0: none",
            Range::at_least(0));
}

void RunOptions::bind(OptionTable& table) {
  table.add_path("run.directory", directory,
                 "folder of the run; one that already holds a run is refused without --resume; empty: "
                 "runs/NAME, with NAME from run.name");
  table.add("run.name", name, "name of the run; empty: that of the variant");
  table.add_choice(
      "run.resume", resume, {"never", "auto"},
      "auto, or --resume on the command line: continue from the newest valid checkpoint, if there is one");
  table.add("run.allow_data_change", allow_data_change,
            "resume although the data are not those of the checkpoint, because rows were added or corrected; "
            "a warning is printed");
  table.add("run.change", change,
            "with --resume: settings of the optimiser that change from here on, such as optimizer.lr=0.0001, "
            "separated by blanks; run.ini and events.jsonl in the run's folder keep them");
  table.add("run.timeout", timeout,
            "seconds that a rank waits for the others in one call before it ends the job with a message",
            Range::above(0));
  table.add_number_or(
      "run.time_limit", time_limit, {"auto", "never"},
      "minutes from its start in which the job has to end: training stops before that, saved, with exit code "
      "75; auto: the end of Slurm's job, where there is one; never: no limit",
      Range::at_least(1));
  table.add("run.metrics_every", metrics_every, "steps between lines of metrics.jsonl", Range::at_least(1));
  table.add(
      "run.check_every", check_every,
      "steps between checks that all ranks hold the same parameters and that no bit of them has changed in "
      "the memory of a rank; a run that fails one goes back to its last checkpoint; 0: before checkpoints "
      "only",
      Range::at_least(0));
  table.add(
      "run.dump_bad_rows", dump_bad_rows,
      "write the rows whose loss is not finite, with their values, to bad_rows.jsonl in the run's folder");
  table.add("run.tensorboard", tensorboard,
            "write the losses, the KL of each latent dimension and samples for TensorBoard, to "
            "events.out.tfevents.* in the run's folder");
  table.add("run.samples", samples,
            "number of evaluations, spread over the run, after which samples and reconstructions are written "
            "to the folder samples of the run: images, video, text and sound; 0: none",
            Range::between(0, 1000));
}

void HookOptions::bind(OptionTable& table) {
  const std::string how = "; a shell command, which gets a JSON object on its standard input; empty: none";
  table.add("hooks.on_evaluation", on_evaluation, "what is run after each evaluation" + how);
  table.add("hooks.on_checkpoint", on_checkpoint, "what is run after a checkpoint is written" + how);
  table.add("hooks.on_end", on_end, "what is run when the run ends, stops or fails" + how);
}

EvaluationOptions RunConfig::evaluation(const DataShape& shape, const std::string& split,
                                        int64_t importance_samples) const {
  return {.split = split,
          .microbatch = evaluate.microbatch,
          .importance_samples = importance_samples,
          .binarize = data.binarize,
          .seed = static_cast<uint64_t>(train.seed),
          .pixels = shape.has_pixels(),
          .ranking = shape.kind == "interactions",
          .steps = shape.x.size() == 2 && (shape.kind == "sequence" || shape.kind == "audio")};
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
  table.add_choice("model.name", model_name_, names, "the variant; elbo models lists them with their papers");
  model->bind(table);
  network.bind(table);
  optimizer.bind(table);
  train.bind(table);
  evaluate.bind(table);
  checkpoint.bind(table);
  run.bind(table);
  hooks.bind(table);
  return table;
}

std::string RunConfig::saved_ini() { return table().ini({{"run.resume", "never"}, {"run.change", ""}}); }

std::vector<std::string> named_measures(const std::string& option, const std::string& text) {
  static const std::vector<std::string> known{"ais",         "anomalies", "classes",    "factors",
                                              "information", "samples",   "similarity", "texts"};
  if (text == "auto" || text == "none") return {};
  std::vector<std::string> names = split(text, ',');
  for (const std::string& name : names)
    if (std::ranges::find(known, name) == known.end())
      usage_error("{}={}: '{}' is not a measure; expected auto, none, or some of {} with commas between",
                  option, text, name, join(known, ", "));
  return names;
}

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
  return resolve(parse_ini(ini, name), name, overrides, /*written_by_elbo=*/false);
}

std::unique_ptr<RunConfig> saved_config(const std::string& ini, const std::string& name,
                                        const std::vector<Setting>& overrides) {
  std::vector<Setting> settings = parse_ini(ini, name);
  for (auto& [key, value] : settings)
    if (const std::string_view present = new_name(key); !present.empty()) key = present;
  return resolve(settings, name, overrides, /*written_by_elbo=*/true);
}

bool decides_results(const std::string& key) {
  static const std::vector<std::string> free{"data.path",
                                             "data.prefetch",
                                             "data.stage",
                                             "train.steps",
                                             "train.epochs",
                                             "train.device",
                                             "train.threads",
                                             "train.communication",
                                             "train.bucket_bytes",
                                             "train.max_nonfinite_steps",
                                             "train.lr_after_divergence"};
  const std::string section = key.substr(0, key.find('.'));
  if (key == "evaluate.best") return true;  // losses and ranks cannot be compared
  return section != "run" && section != "checkpoint" && section != "evaluate" && section != "hooks" &&
         std::ranges::find(free, key) == free.end();
}

std::vector<Setting> changed_settings(const RunConfig& config) {
  // The others decide which states there are.
  static const std::vector<std::string> fixed{"optimizer.name", "optimizer.momentum", "optimizer.ema"};
  std::vector<Setting> settings;
  for (const std::string& word : split(config.run.change, ' ')) {
    if (word.empty()) continue;
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    if (equals == std::string::npos || !key.starts_with("optimizer.") ||
        std::ranges::find(fixed, key) != fixed.end())
      usage_error(
          "run.change={}: '{}' cannot change during a run; expected settings of the optimiser other than {}, "
          "such as optimizer.lr=0.0001",
          config.run.change, word, join(fixed, ", "));
    settings.emplace_back(key, word.substr(equals + 1));
  }
  return settings;
}

void require_same_experiment(RunConfig& now, RunConfig& before, const std::string& where) {
  const std::vector<Setting> changed = changed_settings(now);
  // The learning rate follows from evaluations.
  const auto decides = [&](const std::string& key) {
    return decides_results(key) || (now.optimizer.schedule == "plateau" && key.starts_with("evaluate.") &&
                                    key != "evaluate.patience");
  };
  const std::vector<Setting> ours = parse_ini(now.table().ini(), "this run");
  const std::vector<Setting> theirs = parse_ini(before.table().ini(), where);
  for (const auto& [key, value] : ours) {
    if (!decides(key) || std::ranges::count(changed, key, &Setting::first) > 0) continue;
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
