#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/print.h"
#include "elbo/commands/tune.h"
#include "elbo/run/config.h"
#include "elbo/run/temporary_folder.h"
#include "elbo/train/divergence.h"
#include "elbo/train/stop_request.h"
#include "elbo/train/training.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

struct RangeTestOptions {
  int64_t steps = 300;
  double lowest = 1e-6, highest = 1;
  OptionTable table() {
    OptionTable table;
    table.add("steps", steps, "lr: optimiser steps of the test", Range::between(20, 1e6));
    table.add("lowest", lowest, "lr: learning rate of the first step", Range::above(0));
    table.add("highest", highest, "lr: learning rate of the last step", Range::above(0));
    return table;
  }
};

struct TestPoint {
  double lr, loss;
};

// Learning rates and losses of the steps, smoothed: a mean with exponential weights.
std::vector<TestPoint> read_test(const fs::path& run) {
  constexpr double keep = 0.9;
  std::vector<TestPoint> points;
  std::istringstream lines(read_file(run / "metrics.jsonl"));
  double mean = 0, weight = 0;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json step = nlohmann::json::parse(line);
    if (!step["loss"].is_number()) break;
    mean = keep * mean + (1 - keep) * step["loss"].get<double>();
    weight = keep * weight + (1 - keep);
    points.push_back({step["lr"].get<double>(), mean / weight});
  }
  return points;
}

// The point with the lowest loss: above its learning rate training diverges.
size_t lowest_point(const std::vector<TestPoint>& points) {
  return static_cast<size_t>(std::ranges::min_element(points, {}, &TestPoint::loss) - points.begin());
}

// Without the end of the test where the loss is above the first.
void cut_end(std::vector<TestPoint>& points) {
  size_t last = lowest_point(points);
  while (last + 1 < points.size() && points[last].loss < points.front().loss) ++last;
  points.resize(last + 1);
}

// The rate below that of the lowest loss at which the loss falls fastest with the logarithm of the rate;
// rates grow by equal factors.
double steepest(const std::vector<TestPoint>& points) {
  const size_t width = std::max<size_t>(2, points.size() / 20);
  size_t best = 0;
  double fall = 0;
  const size_t lowest = lowest_point(points);
  for (size_t i = 0; i + width <= lowest; ++i)
    if (const double here = points[i].loss - points[i + width].loss; here > fall) {
      fall = here;
      best = i + width / 2;
    }
  if (fall <= 0)
    usage_error(
        "elbo tune lr: the loss falls at no learning rate from {:.3g} to {:.3g}; test others with --lowest "
        "and "
        "--highest, or more --steps",
        points.front().lr, points.back().lr);
  return points[best].lr;
}

void print_test(const std::vector<TestPoint>& points, double proposed) {
  constexpr size_t lines = 24;
  double low = points.front().loss, high = low;
  for (const TestPoint& point : points) {
    low = std::min(low, point.loss);
    high = std::max(high, point.loss);
  }
  std::string text = "learning rate     loss\n";
  for (size_t i = 0; i < lines; ++i) {
    const TestPoint& point = points[i * (points.size() - 1) / (lines - 1)];
    const auto bar = static_cast<size_t>(40 * (point.loss - low) / std::max(high - low, 1e-12));
    text += fmt::format("{:13.3g} {:8.5g} {}\n", point.lr, point.loss, std::string(bar + 1, '#'));
  }
  print_escaped("{}optimizer.lr={:.2g}\n", Lines{text}, proposed);
}

}  // namespace

ExitCode tune_lr(const Environment& environment, const Words& words) {
  RangeTestOptions options;
  OptionTable table = options.table();
  CommandLine line = parse_command_line(
      words, [&](const std::string& key) { return table.has(key) ? table.kind(key) : run_option_kind(key); });
  take_own_settings(line, table);
  require_words(tune_command(), line, 2, 2, "lr and a configuration");
  if (options.lowest >= options.highest)
    usage_error("--lowest={:g}: expected less than --highest={:g}", options.lowest, options.highest);
  const std::string& path = line.positional[1];
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const TemporaryFolder folder(*world);
  for (const auto& [key, value] :
       std::vector<Setting>{{"optimizer.schedule", "range"},
                            {"optimizer.warmup_steps", "0"},
                            {"optimizer.schedule_steps", "0"},
                            {"optimizer.min_lr", fmt::format("{}", options.lowest)},
                            {"optimizer.lr", fmt::format("{}", options.highest)},
                            {"train.steps", fmt::format("{}", options.steps)},
                            {"train.lr_after_divergence", "0"},
                            {"evaluate.every", "never"},
                            {"evaluate.patience", "0"},
                            {"checkpoint.every_steps", "0"},
                            {"run.metrics_every", "1"},
                            {"run.tensorboard", "false"},
                            {"run.directory", folder.path().string()}})
    line.settings.emplace_back(key, value);
  // Settings of another schedule have no effect here, which is fine.
  const std::unique_ptr<RunConfig> config = saved_config(read_file(path), path, line.settings);
  try {
    const StopRequest stop;
    Training training(environment, *config);
    if (training.run(stop, TimeLimit::Clock::now()).stopped) return ExitCode::stopped;
  } catch (const Diverged& error) {
    log::info("the test ends early: {}", error.what());
  }
  if (environment.rank() != 0) return ExitCode::ok;
  std::vector<TestPoint> points = read_test(folder.path());
  const double proposed = steepest(points);
  cut_end(points);
  print_test(points, proposed);
  return ExitCode::ok;
}

OptionTable tune_lr_options() {
  static RangeTestOptions defaults;
  return defaults.table();
}

}  // namespace elbo
