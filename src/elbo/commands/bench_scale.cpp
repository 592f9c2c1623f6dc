#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "elbo/base/file.h"
#include "elbo/base/flight_recorder.h"
#include "elbo/base/log.h"
#include "elbo/base/stopwatch.h"
#include "elbo/base/text.h"
#include "elbo/commands/bench.h"
#include "elbo/commands/bench_exchange.h"
#include "elbo/eval/output.h"
#include "elbo/parallel/host_levels.h"
#include "elbo/parallel/step_model.h"
#include "elbo/run/config.h"
#include "elbo/run/temporary_folder.h"
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
    table.add("steps", steps, "number of measured training steps; a tenth as many warm-up steps precede them",
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

// The run to measure: path and text of its configuration, and the settings of the command line.
struct RunDescription {
  std::string path, ini;
  std::vector<Setting> settings;
};

// Medians over the steps of a run, from its metrics.jsonl.
struct Measured {
  double compute = 0, fastest = 0, forward = 0, overlapped = 0, exchange = 0, update = 0, other = 0, step = 0;
};

Measured read_measured(const fs::path& directory, int64_t skipped) {
  std::vector<double> compute, fastest, forward, overlapped, exchange, update, other, step;
  std::istringstream lines(read_file(directory / "metrics.jsonl"));
  double before = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    const double now = record.at("seconds");
    const double took = now - std::exchange(before, now);
    if (record.at("step").get<int64_t>() <= skipped) continue;
    const auto& seconds = record.at("step_seconds");
    const double slowest = seconds.at("compute"), updated = seconds.at("update");
    const double mine = seconds.value("rank_0", slowest);  // one rank has no other times
    const double travelled = seconds.at("exchange").get<double>() + seconds.value("publish", 0.0);
    step.push_back(took);
    compute.push_back(slowest);
    fastest.push_back(seconds.value("fastest", slowest));
    forward.push_back(seconds.at("forward"));
    overlapped.push_back(seconds.value("overlapped", 0.0));
    exchange.push_back(travelled - (slowest - mine));  // without waiting for the slowest
    update.push_back(updated);
    other.push_back(took - mine - travelled - updated);
  }
  return {.compute = median(compute),
          .fastest = median(fastest),
          .forward = median(forward),
          .overlapped = median(overlapped),
          .exchange = median(exchange),
          .update = median(update),
          .other = median(other),
          .step = median(step)};
}

std::string milliseconds(double seconds) { return fmt::format("{:.3f} ms", 1000 * seconds); }

// A mode of exchange, with its cost and its measured times.
struct Mode {
  std::string title;
  StepCost cost;
  Measured found;
  double calls = 0;  // of the communicators, in a step
};

// Seconds for the record of a call, which the flight recorder keeps.
double measure_record() {
  constexpr int64_t calls = 100'000;
  FlightRecorder& recorder = FlightRecorder::instance();
  const Stopwatch watch;
  for (int64_t i = 0; i < calls; ++i) recorder.leave(recorder.enter("measured", i));
  return watch.seconds() / static_cast<double>(calls);
}

void print_measured(const std::vector<Mode>& modes, int64_t ranks, int64_t batch) {
  const StepCost& cost = modes.back().cost;
  fmt::print("{} ranks of {} {} each, batch {} in {} microbatches, {} parameters in {} {}\n\n", ranks,
             cost.workers, cost.workers == 1 ? "worker" : "workers", batch, cost.microbatches,
             cost.parameters, cost.buckets, cost.buckets == 1 ? "bucket" : "buckets");
  const auto row = [&](const std::string& title, double Measured::*found, auto&& model) {
    fmt::print("{:<40}", title);
    for (const Mode& mode : modes) {
      const std::optional<double> predicted = model(predict_step(mode.cost, ranks));
      fmt::print("{:>13}{:>13}  ", milliseconds(mode.found.*found),
                 predicted ? milliseconds(*predicted) : "");
    }
    fmt::print("\n");
  };
  using Model = const StepSecondsModel&;
  using Prediction = std::optional<double>;
  fmt::print("{:<40}", "median of the steps");
  for (const Mode& mode : modes) fmt::print("{:>13}{:>13}  ", mode.title, "model");
  fmt::print("\n");
  row("computation, slowest rank", &Measured::compute, [](Model m) { return Prediction(m.compute); });
  row("computation, fastest rank", &Measured::fastest, [](Model) { return Prediction(); });
  row("  before the first gradient", &Measured::forward, [](Model) { return Prediction(); });
  row("  after the first bucket was sent", &Measured::overlapped, [](Model) { return Prediction(); });
  row("exchange without computation", &Measured::exchange,
      [](Model m) { return Prediction(m.communication); });
  row("update of a rank's shard", &Measured::update, [](Model m) { return Prediction(m.update); });
  row("everything else", &Measured::other, [](Model m) { return Prediction(m.other); });
  row("whole step", &Measured::step, [](Model m) { return Prediction(m.total()); });
  fmt::print("{:<40}", "");
  for (const Mode& mode : modes)
    fmt::print("{:>26}  ", fmt::format("({:+.1f} %)",
                                       100 * (predict_step(mode.cost, ranks).total() / mode.found.step - 1)));
  fmt::print("\n");
  const auto print_link = [](const char* what, const Link& link) {
    fmt::print("{}: latency {:.1f} µs, bandwidth {}/s\n", what, 1e6 * link.latency,
               human_bytes(1 / std::max(link.seconds_per_byte, 1e-15)));
  };
  fmt::print("\n");
  if (ranks > 1) print_link(cost.node_ranks > 1 ? "link between hosts" : "link", cost.link);
  if (cost.node_ranks > 1) print_link("within a host", cost.node_link);
}

// What it costs that each call is recorded for the case that a rank hangs.
void print_record(const Mode& mode, double seconds) {
  fmt::print("flight recorder: {:.0f} ns a call, {:.1f} calls in a step: {:.4f} % of it\n", 1e9 * seconds,
             mode.calls, 100 * mode.calls * seconds / mode.found.step);
}

// Numbers of ranks among which the microbatches of the step are divided evenly, in one round of messages.
void print_cheap_ranks(int64_t microbatches) {
  std::vector<std::string> cheap;
  for (int64_t ranks = 1; ranks <= microbatches; ++ranks)
    if (microbatches % ranks == 0 && reduce_scatter_rounds(microbatches, ranks) == 1)
      cheap.push_back(std::to_string(ranks));
  fmt::print("\ncheap numbers of ranks for {} microbatches (equal work, one round of messages): {}\n",
             microbatches, join(cheap, ", "));
}

// The prediction for 1 to 1024 ranks: with the batch of the configuration (strong scaling), and with a batch
// that grows with the ranks (weak scaling).
void print_projection(const StepCost& cost, int64_t ranks, int64_t batch) {
  const double microbatch_rows = static_cast<double>(batch) / static_cast<double>(cost.microbatches);
  const double alone = static_cast<double>(batch) / predict_step(cost, 1).total();
  fmt::print("\n{:>6}{:>16}{:>16}{:>12}{:>18}{:>16}{:>12}\n", "ranks", "fixed batch", "samples/s",
             "strong eff.", "growing batch", "samples/s", "weak eff.");
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
  fmt::print(R"(
Efficiency: samples/s of a rank, relative to one rank alone; strong: with the batch of the configuration; weak: with a
batch that grows with the ranks.
The model: a step is computation, exchange and update, one after the other. All buckets of gradients but the last
overlap with the backward pass, in the time that remains after the first bucket was sent, and their parameters with
the forward pass. A message of n bytes takes α + n/β: α is measured with small messages, β follows from the exchange
above. The model assumes that there is no contention in switches; that all microbatches take the same time; and that
data arrive in time. Ranks of a host share its link, and exchange with one another first if hosts have blocks of ranks.
What the measured ranks share besides (cores, a link), the predicted ranks share, too.
)");
}

ordered_json to_json(const std::vector<Mode>& modes, int64_t ranks, int64_t batch) {
  const StepCost& cost = modes.back().cost;
  ordered_json of_modes = ordered_json::object();
  for (const Mode& mode : modes) {
    ordered_json predicted = ordered_json::object();
    for (int64_t count : {1, 2, 4, 8})
      predicted[std::to_string(count)] = predict_step(mode.cost, count).total();
    const Measured& found = mode.found;
    of_modes[mode.title] = {{"seconds",
                             {{"step", found.step},
                              {"compute", found.compute},
                              {"fastest", found.fastest},
                              {"overlapped", found.overlapped},
                              {"exchange", found.exchange},
                              {"update", found.update},
                              {"other", found.other}}},
                            {"microbatch_seconds", mode.cost.microbatch_seconds},
                            {"step_on_ranks", predicted}};
  }
  return {{"ranks", ranks},
          {"workers", cost.workers},
          {"batch", batch},
          {"microbatches", cost.microbatches},
          {"parameters", cost.parameters},
          {"buckets", cost.buckets},
          {"ranks_of_host", cost.node_ranks},
          {"link", {{"latency", cost.link.latency}, {"seconds_per_byte", cost.link.seconds_per_byte}}},
          {"modes", of_modes}};
}

// Trains some steps in `directory`, with buckets of bucket_bytes. None where training was stopped.
std::optional<Mode> take_steps(const Environment& environment, const std::string& title,
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
  Mode mode{.title = title, .cost = {}, .found = {}};
  mode.cost.microbatches = config->microbatches();
  {
    const StopRequest stop;
    Training training(environment, *config);
    mode.cost.workers = training.workers();
    mode.cost.parameters = training.plan().parameters;
    mode.cost.phases = static_cast<int64_t>(training.plan().phases.size());
    mode.cost.buckets = 0;
    double early = 0;
    for (int64_t phase = 0; phase < static_cast<int64_t>(training.plan().phases.size()); ++phase) {
      const Buckets& buckets = training.step().buckets(static_cast<size_t>(phase));
      mode.cost.buckets += static_cast<int64_t>(buckets.count());
      early += buckets.early_fraction() * static_cast<double>(buckets.range().size());
    }
    mode.cost.early_fraction = early / static_cast<double>(training.plan().parameters);
    const int64_t before = FlightRecorder::instance().record().calls;
    if (training.run(stop, TimeLimit::Clock::now()).stopped) return std::nullopt;
    mode.calls = static_cast<double>(FlightRecorder::instance().record().calls - before) /
                 static_cast<double>(skipped + steps);
  }
  if (environment.rank() != 0) return mode;
  mode.found = read_measured(config->directory(), skipped);
  const int64_t ranks = environment.size(), local_microbatches = (mode.cost.microbatches + ranks - 1) / ranks;
  const int64_t microbatches_of_worker = (local_microbatches + mode.cost.workers - 1) / mode.cost.workers;
  mode.cost.microbatch_seconds = mode.found.compute / static_cast<double>(microbatches_of_worker);
  mode.cost.update_seconds = mode.found.update * static_cast<double>(ranks);
  mode.cost.other_seconds = std::max(0.0, mode.found.other);
  mode.cost.early_seconds = mode.found.overlapped;
  mode.cost.forward_seconds = mode.found.forward;
  return mode;
}

// The links between ranks, as far as they are measured directly.
struct Links {
  double latency = 0;  // between hosts; on one host, between its ranks
  int64_t node_ranks = 1;
  Link within{};  // of a host, if there are several ranks on each of several hosts
};

// Collective.
Links measure_links(const HostLevels& hosts, int64_t rounds) {
  const Levels levels = hosts.levels();
  Links links{.latency = measure_latency(levels[levels.count() - 1], rounds)};
  if (hosts.within() != nullptr) {
    links.node_ranks = hosts.within()->size();
    links.within = measure_link(*hosts.within(), rounds);
  }
  return links;
}

ExitCode measure(const Environment& environment, const RunDescription& run,
                 const BenchScaleOptions& options) {
  const std::unique_ptr<RunConfig> config = parse_config(run.ini, run.path, run.settings);
  const std::unique_ptr<Communicator> world = environment.make_world(config->run.timeout);
  const TemporaryFolder folder(*world);
  std::vector<Mode> modes;
  const auto add = [&](const std::string& title, int64_t bucket_bytes) {
    std::optional<Mode> mode =
        take_steps(environment, title, folder.path() / title, run, bucket_bytes, options.steps);
    if (mode) modes.push_back(std::move(*mode));
    return mode.has_value();
  };
  if (!add("apart", 0)) return ExitCode::stopped;
  if (world->size() > 1 && config->train.bucket_bytes > 0 && !add("overlapped", config->train.bucket_bytes))
    return ExitCode::stopped;
  const int64_t ranks = world->size();
  const HostLevels hosts(environment, *world, config->run.timeout);
  const Links links = ranks > 1 ? measure_links(hosts, options.rounds) : Links{};
  std::vector<ExchangeSeconds> exchange;
  if (ranks > 1) {
    std::vector<int64_t> bytes{64 << 10, 1 << 20, 16 << 20, 4 * modes.back().cost.parameters};
    std::ranges::sort(bytes);
    exchange = measure_exchange(hosts.levels(), bytes, options.rounds);
  }
  const double record_seconds = measure_record();  // on all ranks, which compare their numbers of calls
  if (world->rank() != 0) return ExitCode::ok;

  for (Mode& mode : modes) {
    mode.cost.node_ranks = links.node_ranks;
    mode.cost.node_link = links.within;
    if (ranks > 1) mode.cost.link = fit_link(mode.cost, ranks, links.latency, mode.found.exchange);
  }
  const int64_t batch = config->train.batch;
  print_measured(modes, ranks, batch);
  if (ranks > 1) {
    print_record(modes.back(), record_seconds);
    print_exchange(exchange, ranks);
  }
  print_cheap_ranks(config->microbatches());
  print_projection(modes.back().cost, ranks, batch);
  ordered_json json = to_json(modes, ranks, batch);
  json["flight_recorder"] = {{"seconds_of_a_call", record_seconds}, {"calls_in_a_step", modes.back().calls}};
  json["exchange"] = exchange_json(exchange, ranks);
  if (!options.out.empty()) write_file(options.out, json.dump(1) + "\n");
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
  if (!options.out.empty() && environment.rank() == 0) check_output({.out = options.out}, {".json"});
  const std::string& path = line.positional[1];
  return measure(environment, {path, read_file(path), std::move(settings)}, options);
}

}  // namespace elbo
