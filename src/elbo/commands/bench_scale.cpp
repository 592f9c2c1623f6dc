#include <fmt/format.h>
#include <stdlib.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/stopwatch.h"
#include "elbo/base/text.h"
#include "elbo/commands/bench.h"
#include "elbo/parallel/step_model.h"
#include "elbo/run/config.h"
#include "elbo/train/stop_request.h"
#include "elbo/train/training.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct BenchScaleOptions {
  int64_t steps = 60, rounds = 15;
  std::string out;
  OptionTable table() {
    OptionTable table;
    table.add("steps", steps, "training steps that are measured, after a tenth as many that are not",
              Range::at_least(10));
    table.add("rounds", rounds, "rounds of messages that are measured", Range::at_least(3));
    table.add_path("out", out, "JSON file for the results; empty: none");
    return table;
  }
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// A folder for the run, on a disk that rank 0 sees; gone with the object.
class Scratch {
 public:
  explicit Scratch(Communicator& world) : is_root_(world.rank() == 0) {
    std::string made;
    if (is_root_) {
      std::string name = (fs::temp_directory_path() / "elbo_scale_XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr)
        fail("{}: cannot be made, which a run of a few steps needs; check TMPDIR", name);
      made = name;
    }
    path_ = broadcast_text(world, made, 0);
  }
  ~Scratch() {
    std::error_code ignored;
    if (is_root_) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  bool is_root_;
  fs::path path_;
};

// What is to be trained: a configuration's path and text, and what the command line says besides.
struct RunDescription {
  std::string path, ini;
  std::vector<Setting> settings;
};

// Medians over the steps of a run, from its metrics.jsonl.
struct Measured {
  double compute = 0, fastest = 0, overlapped = 0, exchange = 0, update = 0, other = 0, step = 0;
};

Measured read_measured(const fs::path& directory, int64_t skipped) {
  std::vector<double> compute, fastest, overlapped, exchange, update, other, step;
  std::istringstream lines(read_file(directory / "metrics.jsonl"));
  double before = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    const double now = record.at("seconds");
    const double took = now - std::exchange(before, now);
    if (record.at("step").get<int64_t>() <= skipped) continue;
    const auto& seconds = record.at("step_seconds");
    const double slowest = seconds.at("compute"), mine = seconds.at("rank_0"), updated = seconds.at("update");
    const double travelled = seconds.at("exchange").get<double>() + seconds.at("publish").get<double>();
    step.push_back(took);
    compute.push_back(slowest);
    fastest.push_back(seconds.at("fastest"));
    overlapped.push_back(seconds.at("overlapped"));
    exchange.push_back(travelled - (slowest - mine));  // without waiting for the slowest
    update.push_back(updated);
    other.push_back(took - mine - travelled - updated);
  }
  return {.compute = median(compute),
          .fastest = median(fastest),
          .overlapped = median(overlapped),
          .exchange = median(exchange),
          .update = median(update),
          .other = median(other),
          .step = median(step)};
}

// What a message without content to one peer takes, seconds.
double measure_latency(Communicator& world, int64_t rounds) {
  torch::Tensor all = torch::zeros({world.size()});
  const std::vector<int64_t> counts(static_cast<size_t>(world.size()), 1);
  world.all_gather(all, counts);  // makes connections
  std::vector<double> seconds;
  Stopwatch watch;
  for (int64_t round = 0; round < rounds; ++round) {
    world.all_gather(all, counts);
    seconds.push_back(watch.lap());
  }
  return median(seconds) / static_cast<double>(world.size() - 1);
}

std::string milliseconds(double seconds) { return fmt::format("{:.3f} ms", 1000 * seconds); }

// A way to take steps, with what was measured of it.
struct Way {
  std::string title;
  StepCost cost;
  Measured found;
};

void print_measured(const std::vector<Way>& ways, int64_t ranks, int64_t batch) {
  const StepCost& cost = ways.back().cost;
  fmt::print("{} ranks of {} {} each, batch {} in {} microbatches, {} parameters in {} {}\n\n", ranks,
             cost.workers, cost.workers == 1 ? "worker" : "workers", batch, cost.microbatches,
             cost.parameters, cost.buckets, cost.buckets == 1 ? "bucket" : "buckets");
  const auto row = [&](const std::string& title, double Measured::*found, auto&& model) {
    fmt::print("{:<40}", title);
    for (const Way& access_method : ways) {
      const std::optional<double> predicted = model(predict_step(access_method.cost, ranks));
      fmt::print("{:>13}{:>13}  ", milliseconds(access_method.found.*found),
                 predicted ? milliseconds(*predicted) : "");
    }
    fmt::print("\n");
  };
  using Model = const StepSecondsModel&;
  using Told = std::optional<double>;
  fmt::print("{:<40}", "a step (median)");
  for (const Way& access_method : ways) fmt::print("{:>13}{:>13}  ", access_method.title, "model");
  fmt::print("\n");
  row("computation, the slowest rank", &Measured::compute, [](Model m) { return Told(m.compute); });
  row("computation, the fastest rank", &Measured::fastest, [](Model) { return Told(); });
  row("  since the first gradients travel", &Measured::overlapped, [](Model) { return Told(); });
  row("exchange that is left then", &Measured::exchange, [](Model m) { return Told(m.communication); });
  row("update of what a rank owns", &Measured::update, [](Model m) { return Told(m.update); });
  row("everything else", &Measured::other, [](Model m) { return Told(m.other); });
  row("all", &Measured::step, [](Model m) { return Told(m.total()); });
  fmt::print("{:<40}", "");
  for (const Way& access_method : ways)
    fmt::print(
        "{:>26}  ",
        fmt::format("({:+.1f} %)",
                    100 * (predict_step(access_method.cost, ranks).total() / access_method.found.step - 1)));
  fmt::print("\n");
  if (ranks > 1)
    fmt::print("\nlink: {:.1f} µs for a message, {}/s\n", 1e6 * cost.link.latency,
               human_bytes(1 / std::max(cost.link.seconds_per_byte, 1e-15)));
}

// The same for more ranks: with the batch that the configuration has, and with a batch that grows with them.
void print_projection(const StepCost& cost, int64_t ranks, int64_t batch) {
  const double microbatch_rows = static_cast<double>(batch) / static_cast<double>(cost.microbatches);
  const double alone = static_cast<double>(batch) / predict_step(cost, 1).total();
  fmt::print("\n{:>6}{:>16}{:>16}{:>12}{:>18}{:>16}{:>12}\n", "ranks", "this batch", "samples/s",
             "efficiency", "batch that grows", "samples/s", "efficiency");
  for (int64_t count : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}) {
    StepCost wide = cost;
    wide.microbatches = std::max<int64_t>(1, cost.microbatches / ranks) * count;
    const double rows = microbatch_rows * static_cast<double>(wide.microbatches);
    const double strong = static_cast<double>(batch) / predict_step(cost, count).total();
    const double weak = rows / predict_step(wide, count).total();
    StepCost base = wide;
    base.microbatches = wide.microbatches / count;
    const double weak_alone =
        microbatch_rows * static_cast<double>(base.microbatches) / predict_step(base, 1).total();
    const std::string few = count > cost.microbatches ? "–" : fmt::format("{:.0f}", strong);
    const std::string share =
        count > cost.microbatches
            ? "–"
            : fmt::format("{:.0f} %", 100 * strong / alone / static_cast<double>(count));
    fmt::print("{:>6}{:>16}{:>16}{:>12}{:>18.0f}{:>16.0f}{:>12}\n", count, batch, few, share, rows, weak,
               fmt::format("{:.0f} %", 100 * weak / weak_alone / static_cast<double>(count)));
  }
  fmt::print(
      "\nThe model: a step takes its computation, exchange and update one after the other, but for what "
      "travels "
      "while the backward pass continues: all buckets of\ngradients but the last, in the time that is left "
      "when the "
      "first is there. A message of n bytes takes α + n/β, with the α of messages measured here and\nthe β "
      "of "
      "the exchange above, for each rank at the same time, however many there are (no contention between "
      "switches); a rank sends every other its slice\nof the gradients and of the parameters; leaves take "
      "equal "
      "time, and data are there in time. What these ranks share (cores, a link) they share there,\ntoo.\n");
}

ordered_json to_json(const std::vector<Way>& ways, int64_t ranks, int64_t batch) {
  const StepCost& cost = ways.back().cost;
  ordered_json of_ways = ordered_json::object();
  for (const Way& access_method : ways) {
    ordered_json predicted = ordered_json::object();
    for (int64_t count : {1, 2, 4, 8})
      predicted[std::to_string(count)] = predict_step(access_method.cost, count).total();
    const Measured& found = access_method.found;
    of_ways[access_method.title] = {{"seconds",
                                     {{"step", found.step},
                                      {"compute", found.compute},
                                      {"fastest", found.fastest},
                                      {"overlapped", found.overlapped},
                                      {"exchange", found.exchange},
                                      {"update", found.update},
                                      {"other", found.other}}},
                                    {"leaf_seconds", access_method.cost.microbatch_seconds},
                                    {"step_on_ranks", predicted}};
  }
  return {{"ranks", ranks},
          {"workers", cost.workers},
          {"batch", batch},
          {"leaves", cost.microbatches},
          {"parameters", cost.parameters},
          {"buckets", cost.buckets},
          {"link", {{"latency", cost.link.latency}, {"seconds_per_byte", cost.link.seconds_per_byte}}},
          {"ways", of_ways}};
}

// Trains some steps in a scratch folder, with the given bucket size. Empty where training was stopped.
std::optional<Way> take_steps(const Environment& environment, const std::string& title,
                              const fs::path& directory, const RunDescription& run, int64_t bucket_bytes,
                              int64_t steps) {
  const int64_t skipped = steps / 10;
  std::vector<Setting> settings = run.settings;
  for (const Setting& setting : std::vector<Setting>{{"run.directory", directory.string()},
                                                     {"run.resume", "never"},
                                                     {"run.metrics_every", "1"},
                                                     {"train.steps", std::to_string(skipped + steps)},
                                                     {"train.bucket_bytes", std::to_string(bucket_bytes)},
                                                     {"evaluate.every", "never"},
                                                     {"checkpoint.every_steps", "0"},
                                                     {"checkpoint.every_minutes", "0"}})
    settings.push_back(setting);
  const std::unique_ptr<RunConfig> config = parse_config(run.ini, run.path, settings);
  Way access_method{.title = title, .cost = {}, .found = {}};
  access_method.cost.microbatches = config->microbatches();
  {
    const StopRequest stop;
    Training training(environment, *config);
    access_method.cost.workers = training.workers();
    access_method.cost.parameters = training.plan().parameters;
    access_method.cost.phases = static_cast<int64_t>(training.plan().phases.size());
    access_method.cost.buckets = 0;
    double early = 0;
    for (int64_t phase = 0; phase < static_cast<int64_t>(training.plan().phases.size()); ++phase) {
      const Buckets& buckets = training.step().buckets(static_cast<size_t>(phase));
      access_method.cost.buckets += static_cast<int64_t>(buckets.count());
      early += buckets.early_fraction() * static_cast<double>(buckets.range().size());
    }
    access_method.cost.early_fraction = early / static_cast<double>(training.plan().parameters);
    if (training.run(stop).stopped) return std::nullopt;
  }
  if (environment.rank() != 0) return access_method;
  access_method.found = read_measured(config->directory(), skipped);
  const int64_t ranks = environment.size(),
                local_microbatches = (access_method.cost.microbatches + ranks - 1) / ranks;
  const int64_t microbatches_of_worker =
      (local_microbatches + access_method.cost.workers - 1) / access_method.cost.workers;
  access_method.cost.microbatch_seconds =
      access_method.found.compute / static_cast<double>(microbatches_of_worker);
  access_method.cost.update_seconds = access_method.found.update * static_cast<double>(ranks);
  access_method.cost.other_seconds = std::max(0.0, access_method.found.other);
  access_method.cost.early_seconds = access_method.found.overlapped;
  return access_method;
}

ExitCode measure(const Environment& environment, const RunDescription& run,
                 const BenchScaleOptions& options) {
  const std::unique_ptr<RunConfig> config = parse_config(run.ini, run.path, run.settings);
  const std::unique_ptr<Communicator> world = environment.make_world(config->run.timeout);
  const Scratch scratch(*world);
  std::vector<Way> ways;
  const auto add = [&](const std::string& title, int64_t bucket_bytes) {
    std::optional<Way> access_method =
        take_steps(environment, title, scratch.path() / title, run, bucket_bytes, options.steps);
    if (access_method) ways.push_back(std::move(*access_method));
    return access_method.has_value();
  };
  if (!add("apart", 0)) return ExitCode::stopped;
  if (world->size() > 1 && config->train.bucket_bytes > 0 && !add("overlapped", config->train.bucket_bytes))
    return ExitCode::stopped;
  const int64_t ranks = world->size();
  const double latency = ranks > 1 ? measure_latency(*world, options.rounds) : 0;
  if (world->rank() != 0) return ExitCode::ok;

  if (ranks > 1)
    for (Way& access_method : ways)
      access_method.cost.link = fit_link(access_method.cost, ranks, latency, access_method.found.exchange);
  const int64_t batch = config->train.batch;
  print_measured(ways, ranks, batch);
  print_projection(ways.back().cost, ranks, batch);
  if (!options.out.empty()) write_file(options.out, to_json(ways, ranks, batch).dump(1) + "\n");
  return ExitCode::ok;
}

}  // namespace

ExitCode bench_scale(const Environment& environment, const Words& words) {
  BenchScaleOptions options;
  OptionTable table = options.table();
  const CommandLine line = parse_command_line(
      words, [&](const std::string& key) { return table.has(key) ? table.kind(key) : run_option_kind(key); });
  if (line.help) {
    print_help(bench_command(), table);
    return ExitCode::ok;
  }
  // Options with a section belong to the run, the others to the benchmark.
  CommandLine own = line;
  std::vector<Setting> settings;
  std::erase_if(own.settings, [&](const Setting& setting) {
    const bool of_run = setting.first.find('.') != std::string::npos;
    if (of_run) settings.push_back(setting);
    return of_run;
  });
  apply(own, table);
  require_words(bench_command(), line, 2, 2, "scale and a configuration");
  const std::string& path = line.positional[1];
  return measure(environment, {path, read_file(path), std::move(settings)}, options);
}

}  // namespace elbo
