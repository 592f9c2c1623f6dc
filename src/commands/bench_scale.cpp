#include <fmt/format.h>
#include <stdlib.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "commands/bench.h"
#include "parallel/step_model.h"
#include "train/config.h"
#include "train/stop_request.h"
#include "train/trainer.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct Options {
  int64_t steps = 60, rounds = 15;
  std::string out;
  OptionTable table() {
    OptionTable table;
    table.add("steps", steps, "of training that are measured, behind a tenth that is not",
              Range::at_least(10));
    table.add("rounds", rounds, "of messages that are measured", Range::at_least(3));
    table.add("out", out, "file for the figures, as JSON; empty: none");
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
  explicit Scratch(Communicator& world) : leads_(world.rank() == 0) {
    std::string made;
    if (leads_) {
      std::string name = (fs::temp_directory_path() / "elbo_scale_XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr)
        fail("{}: cannot be made, which a run of a few steps needs; check TMPDIR", name);
      made = name;
    }
    path_ = broadcast_text(world, made, 0);
  }
  ~Scratch() {
    std::error_code ignored;
    if (leads_) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  bool leads_;
  fs::path path_;
};

// Medians over the steps of a run, from its metrics.jsonl.
struct Measured {
  double compute = 0, fastest = 0, exchange = 0, update = 0, other = 0, step = 0;
};

Measured read_measured(const fs::path& directory, int64_t skipped) {
  std::vector<double> compute, fastest, exchange, update, other, step;
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
    exchange.push_back(travelled - (slowest - mine));  // without waiting for the slowest
    update.push_back(updated);
    other.push_back(took - mine - travelled - updated);
  }
  return {median(compute), median(fastest), median(exchange), median(update), median(other), median(step)};
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

void print_measured(const Measured& found, const StepCost& cost, int64_t ranks, int64_t batch) {
  const StepSecondsModel model = predict_step(cost, ranks);
  fmt::print("{} ranks of {} {} each, batch {} in {} microbatches, {} parameters\n\n", ranks, cost.workers,
             cost.workers == 1 ? "worker" : "workers", batch, cost.leaves, cost.parameters);
  fmt::print("{:<44}{:>14}{:>14}\n", "a step (median)", "measured", "model");
  fmt::print("{:<44}{:>14}{:>14}\n", "computation, the slowest rank", milliseconds(found.compute),
             milliseconds(model.compute));
  fmt::print("{:<44}{:>14}\n", "computation, the fastest rank", milliseconds(found.fastest));
  fmt::print("{:<44}{:>14}{:>14}\n", "exchange of gradients and parameters", milliseconds(found.exchange),
             milliseconds(model.exchange));
  fmt::print("{:<44}{:>14}{:>14}\n", "update of a rank's slice", milliseconds(found.update),
             milliseconds(model.update));
  fmt::print("{:<44}{:>14}{:>14}\n", "everything else", milliseconds(found.other), milliseconds(model.other));
  fmt::print("{:<44}{:>14}{:>14}  ({:+.1f} %)\n", "all", milliseconds(found.step),
             milliseconds(model.total()), 100 * (model.total() / found.step - 1));
  if (ranks > 1)
    fmt::print("\nlink: {:.1f} µs for a message, {}/s\n", 1e6 * cost.link.latency,
               human_bytes(1 / std::max(cost.link.seconds_per_byte, 1e-15)));
}

// The same for more ranks: with the batch that the configuration has, and with a batch that grows with them.
void print_projection(const StepCost& cost, int64_t ranks, int64_t batch) {
  const double leaf_rows = static_cast<double>(batch) / static_cast<double>(cost.leaves);
  const double alone = static_cast<double>(batch) / predict_step(cost, 1).total();
  fmt::print("\n{:>6}{:>16}{:>16}{:>12}{:>18}{:>16}{:>12}\n", "ranks", "this batch", "samples/s",
             "efficiency", "batch that grows", "samples/s", "efficiency");
  for (int64_t count : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}) {
    StepCost wide = cost;
    wide.leaves = std::max<int64_t>(1, cost.leaves / ranks) * count;
    const double rows = leaf_rows * static_cast<double>(wide.leaves);
    const double strong = static_cast<double>(batch) / predict_step(cost, count).total();
    const double weak = rows / predict_step(wide, count).total();
    StepCost base = wide;
    base.leaves = wide.leaves / count;
    const double weak_alone = leaf_rows * static_cast<double>(base.leaves) / predict_step(base, 1).total();
    const std::string few = count > cost.leaves ? "–" : fmt::format("{:.0f}", strong);
    const std::string share =
        count > cost.leaves ? "–"
                            : fmt::format("{:.0f} %", 100 * strong / alone / static_cast<double>(count));
    fmt::print("{:>6}{:>16}{:>16}{:>12}{:>18.0f}{:>16.0f}{:>12}\n", count, batch, few, share, rows, weak,
               fmt::format("{:.0f} %", 100 * weak / weak_alone / static_cast<double>(count)));
  }
  fmt::print(
      "\nThe model: a step takes its computation, exchange and update one after the other; a message of n "
      "bytes takes "
      "α + n/β, with the α of messages\nmeasured here and the β of the exchange above, for each rank at the "
      "same time, however many "
      "there are "
      "(no contention between switches); a rank sends every other its slice\nof the gradients and of the "
      "parameters; "
      "leaves take equal time, and data are there in time. What these ranks share (cores, a link) they "
      "share\n"
      "there, too.\n");
}

ordered_json to_json(const Measured& found, const StepCost& cost, int64_t ranks, int64_t batch) {
  ordered_json predicted = ordered_json::object();
  for (int64_t count : {1, 2, 4, 8}) predicted[std::to_string(count)] = predict_step(cost, count).total();
  return {{"ranks", ranks},
          {"workers", cost.workers},
          {"batch", batch},
          {"leaves", cost.leaves},
          {"parameters", cost.parameters},
          {"seconds",
           {{"step", found.step},
            {"compute", found.compute},
            {"fastest", found.fastest},
            {"exchange", found.exchange},
            {"update", found.update},
            {"other", found.other}}},
          {"leaf_seconds", cost.leaf_seconds},
          {"link", {{"latency", cost.link.latency}, {"seconds_per_byte", cost.link.seconds_per_byte}}},
          {"step_on_ranks", predicted}};
}

ExitCode measure(const Environment& environment, const std::string& path, std::vector<Setting> settings,
                 const Options& options) {
  const std::unique_ptr<Communicator> world = environment.make_world(600);
  const Scratch scratch(*world);
  const int64_t skipped = options.steps / 10;
  for (const Setting& setting : std::vector<Setting>{{"run.directory", (scratch.path() / "run").string()},
                                                     {"run.resume", "never"},
                                                     {"run.metrics_every", "1"},
                                                     {"train.steps", std::to_string(skipped + options.steps)},
                                                     {"evaluate.every", "never"},
                                                     {"checkpoint.every_steps", "0"},
                                                     {"checkpoint.every_minutes", "0"}})
    settings.push_back(setting);
  const std::unique_ptr<RunConfig> config = parse_config(read_file(path), path, settings);
  StepCost cost;
  cost.leaves = config->leaves();
  {
    const StopRequest stop;
    Trainer trainer(environment, *config);
    cost.workers = trainer.workers();
    cost.parameters = trainer.parameters();
    cost.phases = trainer.phases();
    if (trainer.run(stop).stopped) return ExitCode::stopped;
  }
  const double latency = world->size() > 1 ? measure_latency(*world, options.rounds) : 0;
  if (world->rank() != 0) return ExitCode::ok;

  const Measured found = read_measured(config->directory(), skipped);
  const int64_t ranks = world->size(), leaves_of_rank = (cost.leaves + ranks - 1) / ranks;
  const int64_t leaves_of_worker = (leaves_of_rank + cost.workers - 1) / cost.workers;
  cost.leaf_seconds = found.compute / static_cast<double>(leaves_of_worker);
  cost.update_seconds = found.update * static_cast<double>(ranks);
  cost.other_seconds = std::max(0.0, found.other);
  if (ranks > 1) cost.link = fit_link(cost, ranks, latency, found.exchange);
  print_measured(found, cost, ranks, config->train.batch);
  print_projection(cost, ranks, config->train.batch);
  if (!options.out.empty())
    write_file(options.out, to_json(found, cost, ranks, config->train.batch).dump(1) + "\n");
  return ExitCode::ok;
}

}  // namespace

ExitCode bench_scale(const Environment& environment, const CommandLine& line) {
  Options options;
  OptionTable table = options.table();
  if (line.help) {
    print_help(bench_command(), table);
    return ExitCode::ok;
  }
  // What stands in a section is the run's, the rest the benchmark's.
  CommandLine own = line;
  std::vector<Setting> settings;
  std::erase_if(own.settings, [&](const Setting& setting) {
    const bool of_run = setting.first.find('.') != std::string::npos;
    if (of_run) settings.push_back(setting);
    return of_run;
  });
  apply(own, table);
  require_words(bench_command(), line, 2, 2, "scale and a configuration");
  return measure(environment, line.positional[1], std::move(settings), options);
}

}  // namespace elbo
