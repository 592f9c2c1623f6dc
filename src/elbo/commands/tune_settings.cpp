// A search over settings: random trials (Bergstra & Bengio 2012), by successive halving (Jamieson & Talwalkar
// 2016): all trials train for a part of the steps, the better ones continue. As a run continues exactly, a
// trial that reaches the end is the run that `elbo train` makes with its settings. All state is in the
// folders of the trials: the same command, started again, skips what is done.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/print.h"
#include "elbo/base/text.h"
#include "elbo/comm/on_root.h"
#include "elbo/commands/report.h"
#include "elbo/commands/tune.h"
#include "elbo/commands/tune_space.h"
#include "elbo/eval/evaluation_metrics.h"
#include "elbo/run/run_lines.h"
#include "elbo/train/divergence.h"
#include "elbo/train/stop_request.h"
#include "elbo/train/training.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct SearchOptions {
  int64_t trials = 16, seed = 1, keep = 3, trial = 0;
  std::string method = "halving", folder;
  bool model = true;
  OptionTable table() {
    OptionTable table;
    table.add("trials", trials, "number of trials", Range::between(1, 256));
    table.add_choice("method", method, {"halving", "random"},
                     "halving: all trials train for a part of the steps, and of each round the better ones "
                     "continue; random: all trials train to the end");
    table.add("keep", keep,
              "halving: one of this number of trials continues, for as many times the steps: 3 of 9 after a "
              "ninth of "
              "the steps, 1 of them after a third",
              Range::between(2, 100));
    table.add("seed", seed, "of the trials' settings", Range::at_least(0));
    table.add(
        "trial", trial,
        "random: trains only the trial with this number, from 1 on, and reports what has ended, as in a "
        "task of a Slurm array; 0: all trials",
        Range::between(0, 256));
    table.add_path("folder", folder, "folder of the trials; empty: runs/NAME_tune after the configuration");
    table.add("model", model, "as of elbo report: also show what the first trials' models compute");
    return table;
  }
};

std::string as_words(const std::vector<Setting>& settings) {
  std::vector<std::string> words;
  words.reserve(settings.size());
  for (const auto& [key, value] : settings) words.push_back(fmt::format("--{}={}", key, value));
  return join(words, " ");
}

// The value of `metric` in the evaluation of validation rows after `step`, as lower is better.
std::optional<double> value_at(const fs::path& run, int64_t step, const std::string& metric) {
  std::ifstream file = open_run_lines(run / "metrics.jsonl");
  for (std::string text; std::getline(file, text);) {
    const std::optional<ordered_json> line = parse_run_line(text);
    if (!line || line->value("split", "") != "validation" || line->at("step") != step) continue;
    ordered_json value = line->value(metric, ordered_json());
    if (value.is_null() && line->contains("terms")) value = line->at("terms").value(metric, ordered_json());
    // What is not finite is null in JSON.
    if (!value.is_number()) return std::numeric_limits<double>::infinity();
    return is_higher_better(metric) ? -value.get<double>() : value.get<double>();
  }
  return std::nullopt;
}

class Search {
 public:
  Search(const Environment& environment, Communicator& world, const SearchOptions& options, std::string path,
         Space space)
      : environment_(environment),
        world_(world),
        options_(options),
        path_(std::move(path)),
        ini_(read_file(path_)),
        space_(std::move(space)),
        trials_(draw_trials(space_, options.trials, options.seed)),
        folder_(options.folder.empty() ? fs::path("runs") / (fs::path(path_).stem().string() + "_tune")
                                       : fs::path(options.folder)) {
    if (options.trial > 0 && options.method != "random")
      usage_error("--trial={}: halving compares all trials of a round; add --method=random", options.trial);
    if (options.trial > std::ssize(trials_))
      usage_error("--trial={}: the search has {} trials; expected 1 to {}", options.trial, trials_.size(),
                  trials_.size());
    // A mistake in any trial's settings is found before the first one starts.
    for (size_t trial = 0; trial < trials_.size(); ++trial) config_of(trial);
    const std::unique_ptr<RunConfig> config = config_of(0, {{"run.directory", (folder_ / "none").string()}});
    metric_ = config->evaluate.best;
    const OpenedRun run = open_run_to_train(environment, *config, OpenPurpose::check);
    rows_ = run.plan.rows;
    if (run.plan.evaluation_split != "validation")
      usage_error(
          "{}: trials are compared on validation rows, and there are none; set data.validation_fraction",
          path_);
  }

  const fs::path& folder() const { return folder_; }

  // Whether it was stopped on request, with everything saved.
  bool run(TimeLimit::Clock::time_point started) {
    const StopRequest stop;
    if (options_.trial > 0) return !train(static_cast<size_t>(options_.trial - 1), 0, stop, started);
    std::vector<size_t> left(trials_.size());
    std::iota(left.begin(), left.end(), size_t{0});
    for (int round = 0; round < rounds(); ++round) {
      std::vector<std::pair<double, size_t>> values;
      for (const size_t trial : left) {
        const std::optional<double> value = train(trial, round, stop, started);
        if (!value) return true;
        values.emplace_back(*value, trial);
      }
      std::ranges::sort(values);
      best_ = values.front();
      const auto kept = static_cast<size_t>(std::max<int64_t>(1, std::ssize(left) / options_.keep));
      left.clear();
      for (size_t i = 0; i < std::min(kept, values.size()); ++i) left.push_back(values[i].second);
      std::ranges::sort(left);
    }
    return false;
  }

  // Calls write(). For one trial of several, whose other trials may end in other jobs meanwhile, until there
  // was none that ended after write() had begun; and finds the best of them. On rank 0.
  template <typename Write>
  void report(Write&& write) {
    if (options_.trial == 0) return write();
    for (;;) {
      const size_t ended = find_best_of_ended();
      write();
      if (find_best_of_ended() == ended) return;
    }
  }

  std::string best() const {
    const auto [value, trial] = best_;
    if (!std::isfinite(value))
      fail("elbo tune: all trials of the last round have diverged; search lower learning rates");
    return fmt::format("best: {} with {} {:.6g}: {}", name_of(trial), metric_,
                       is_higher_better(metric_) ? -value : value, as_words(trials_[trial]));
  }

 private:
  // The number of trials that have ended.
  size_t find_best_of_ended() {
    size_t ended = 0;
    for (size_t trial = 0; trial < trials_.size(); ++trial)
      if (const std::optional<double> value =
              value_at(folder_ / name_of(trial), steps_of(*config_of(trial), 0), metric_)) {
        best_ = std::min(best_, std::pair(*value, trial));
        ++ended;
      }
    return ended;
  }

  // In which all trials, a part of them, …, one of them train.
  int rounds() const {
    if (options_.method == "random") return 1;
    int count = 1;
    for (int64_t left = std::ssize(trials_) / options_.keep; left >= 1; left /= options_.keep) ++count;
    return count;
  }

  std::string name_of(size_t trial) const { return fmt::format("trial_{:03}", trial + 1); }

  std::unique_ptr<RunConfig> config_of(size_t trial, std::vector<Setting> more = {}) const {
    std::vector<Setting> settings = space_.fixed;
    settings.insert(settings.end(), trials_[trial].begin(), trials_[trial].end());
    settings.insert(settings.end(),
                    {{"run.directory", (folder_ / name_of(trial)).string()}, {"evaluate.patience", "0"}});
    settings.insert(settings.end(), more.begin(), more.end());
    return saved_config(ini_, path_, settings);
  }

  // Of the whole run.
  int64_t all_steps(const RunConfig& config) const {
    const TrainOptions& train = config.train;
    return train.steps > 0 ? train.steps : (train.epochs * rows_ + train.batch - 1) / train.batch;
  }

  // Of a trial in the round.
  int64_t steps_of(const RunConfig& config, int round) const {
    const double part = std::pow(static_cast<double>(options_.keep), round + 1 - rounds());
    return std::max<int64_t>(1, std::llround(static_cast<double>(all_steps(config)) * part));
  }

  // Trains a trial as far as the round goes. Its value; none if it was stopped. A trial that diverges has the
  // value infinity.
  std::optional<double> train(size_t trial, int round, const StopRequest& stop,
                              TimeLimit::Clock::time_point started) {
    const std::unique_ptr<RunConfig> plain = config_of(trial);
    const int64_t all = all_steps(*plain);
    const int64_t steps = steps_of(*plain, round);
    if (const std::optional<double> known = shared_value(trial, steps)) return known;
    log::info("{} of {}, to step {} of {}: {}", name_of(trial), trials_.size(), steps, all,
              as_words(trials_[trial]));
    const int64_t schedule = plain->optimizer.schedule_steps;
    const std::unique_ptr<RunConfig> config = config_of(
        trial, {{"train.steps", std::to_string(steps)},
                {"train.epochs", "0"},
                {"optimizer.schedule_steps", std::to_string(schedule > 0 ? schedule : all)},
                {"evaluate.every", plain->evaluate.every == "never" ? "epoch" : plain->evaluate.every},
                {"run.resume", "auto"}});
    try {
      Training training(environment_, *config);
      if (training.run(stop, started).stopped) return std::nullopt;
    } catch (const Diverged& error) {
      log::warning("{} ends: {}", name_of(trial), error.what());
      return std::numeric_limits<double>::infinity();
    }
    const std::optional<double> value = shared_value(trial, steps);
    if (!value)
      usage_error(
          "{}: has no evaluation after step {}, so it belongs to another search; choose another --folder",
          (folder_ / name_of(trial)).string(), steps);
    return value;
  }

  // What rank 0 reads. Collective.
  std::optional<double> shared_value(size_t trial, int64_t step) {
    std::optional<double> value;
    if (world_.rank() == 0) value = value_at(folder_ / name_of(trial), step, metric_);
    torch::Tensor shared = torch::tensor({value ? 1. : 0., value.value_or(0)}, torch::kFloat64);
    world_.broadcast(shared, 0);
    if (shared[0].item<double>() == 0) return std::nullopt;
    return shared[1].item<double>();
  }

  const Environment& environment_;
  Communicator& world_;
  const SearchOptions& options_;
  std::string path_, ini_;
  Space space_;
  std::vector<std::vector<Setting>> trials_;
  fs::path folder_;
  std::string metric_;
  int64_t rows_ = 0;  // of the training split
  std::pair<double, size_t> best_{std::numeric_limits<double>::infinity(), 0};
};

}  // namespace

ExitCode tune_settings(const Environment& environment, const Words& words) {
  SearchOptions options;
  OptionTable table = options.table();
  // Values of flags may be lists, too.
  CommandLine line = parse_command_line(
      words, [&](const std::string& key) { return table.has(key) ? table.kind(key) : run_option_kind(key); });
  take_own_settings(line, table);
  require_words(tune_command(), line, 1, 1, "a configuration, or lr and a configuration");
  const auto started = TimeLimit::Clock::now();
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  Search search(environment, *world, options, line.positional[0], read_space(line.settings));
  if (search.run(started)) {
    log::info("stopped on request; start the same command again to continue");
    return ExitCode::stopped;
  }
  on_root<int>(*world, [&] {
    search.report([&] {
      write_report({search.folder().string()}, {.out = "", .sort = "loss", .model = options.model});
    });
    print_escaped("{}\n", search.best());
    return 0;
  });
  return ExitCode::ok;
}

OptionTable tune_settings_options() {
  static SearchOptions defaults;
  return defaults.table();
}

}  // namespace elbo
