#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/print.h"
#include "elbo/base/text.h"
#include "elbo/commands/command.h"
#include "elbo/data/data_files.h"
#include "elbo/data/foreign_file.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/run/auto_config.h"
#include "elbo/run/broadcast_checkpoint.h"
#include "elbo/run/config.h"
#include "elbo/run/unused_settings.h"
#include "elbo/train/stop_request.h"
#include "elbo/train/training.h"

namespace elbo {
namespace {

// By its signature, or by its name where it cannot be read.
bool is_data(const std::filesystem::path& path) {
  return hdf5::is_hdf5(path) || path.extension() == ".h5" || path.extension() == ".hdf5";
}

// The configuration that a run wrote belongs to the folder that holds it, even after that was moved.
bool is_of_run(const std::filesystem::path& path) {
  return path.filename() == "run.ini" && std::filesystem::is_directory(path.parent_path() / "checkpoints");
}

// What the command line says besides the options of the run.
struct TrainFlags {
  bool resume = false, check = false;
  OptionTable table() {
    OptionTable table;
    table.add("resume", resume, "continues the run in run.directory from its newest valid checkpoint");
    table.add("check", check, "prints the plan of the run, or what is wrong with it, and ends");
    return table;
  }
};

struct Request {
  std::unique_ptr<RunConfig> config;
  std::vector<Choice> choices;  // made because only data were given
};

bool sets(const CommandLine& line, const std::string& key) {
  return std::ranges::count(line.settings, key, &Setting::first) > 0;
}

// What the user does not set, from what the data are like. given: the settings besides those of the model.
std::vector<Choice> choices_for(Communicator& world, const RunConfig& given, const CommandLine& line) {
  const Dataset data(given.data, Ranks{.compute_on_root = compute_on_root(world), .share = {}});
  const bool epochs = given.train.steps == 0 && sets(line, "train.epochs");
  std::vector<Choice> choices =
      auto_config(world, data, {.steps = given.train.steps, .epochs = epochs ? given.train.epochs : 0});
  RunConfig chosen;
  chosen.model = find_model("vae");
  for (const auto& [setting, why] : choices)
    if (setting.first == "model.name") chosen.model = find_model(setting.second);
  for (const auto& [key, value] : line.settings)
    if (key == "model.name") chosen.model = find_model(value);
  OptionTable table = chosen.table();
  std::erase_if(choices, [&](const Choice& choice) {
    const std::string& key = choice.setting.first;
    return !table.has(key) || sets(line, key) || (key == "train.epochs" && given.train.steps > 0) ||
           (key == "data.normalize" && sets(line, "model.likelihood"));  // which decides what it needs
  });
  for (const Choice& choice : choices) table.set(choice.setting, "");
  for (const Setting& setting : line.settings) table.set(setting, "--");
  for (const UnusedSetting& unused : unused_settings(table))  // beside what the user chose
    std::erase_if(choices, [&](const Choice& choice) { return choice.setting.first == unused.key; });
  return choices;
}

// Where only data are given. What rank 0 chooses counts for all.
Request choose_config(const Environment& environment, const std::string& path, const CommandLine& line) {
  std::vector<Setting> settings{{"data.path", path}};
  settings.insert(settings.end(), line.settings.begin(), line.settings.end());
  // Which options the model has is known once it is chosen.
  std::vector<Setting> first = settings;
  std::erase_if(first, [](const Setting& setting) {
    return setting.first.starts_with("model.") && setting.first != "model.name";
  });
  const std::unique_ptr<RunConfig> given = parse_config("", path, first);
  const std::unique_ptr<Communicator> world = environment.make_world(given->run.timeout);
  std::vector<Choice> choices = choices_for(*world, *given, line);
  std::vector<Setting> all = parse_ini(broadcast_text(*world, as_ini(choices), 0), path);
  all.insert(all.end(), settings.begin(), settings.end());
  choices.insert(choices.begin(), {{"data.path", given->data.path}, ""});
  return {parse_config("", path, all), std::move(choices)};
}

bool resumes(const CommandLine& line) {
  return std::ranges::count(line.settings, Setting{"run.resume", "auto"}) > 0;
}

// The run in `directory`, to be resumed.
Request request_of_run(const std::filesystem::path& directory, const CommandLine& line) {
  const std::filesystem::path config = directory / "run.ini";
  if (!std::filesystem::exists(config)) {
    if (const std::string foreign = foreign_folder(directory); !foreign.empty())
      usage_error("{}: {}", directory.string(), foreign);
    usage_error("{}: is a folder without run.ini; expected a CONFIG.ini, DATA.h5 or the folder of a run",
                directory.string());
  }
  if (!resumes(line))
    usage_error(
        "{}: is the folder of a run; add --resume to continue it, or start a new run with {} "
        "--run.directory=FOLDER",
        directory.string(), config.string());
  std::vector<Setting> settings{{"run.directory", directory.string()}};
  settings.insert(settings.end(), line.settings.begin(), line.settings.end());
  return {saved_config(read_file(config), config.string(), settings), {}};
}

// A configuration file, the folder of a run, or data alone: one file, a pattern or all the files that a shell
// made of one.
Request read_request(const Environment& environment, const CommandLine& line) {
  if (line.positional.empty())
    usage_error(
        "elbo train: expected a CONFIG.ini, DATA.h5 or the folder of a run; elbo train --help shows how");
  if (line.positional.size() == 1 && std::filesystem::is_directory(line.positional[0]))
    return request_of_run(line.positional[0], line);
  const std::string path = join(line.positional, ",");
  const std::vector<std::string> files = data_files(path);
  std::ranges::for_each(files, require_readable_file);
  const auto other = std::ranges::find_if_not(files, is_data);
  if (other == files.end()) return choose_config(environment, path, line);
  if (const std::string foreign = foreign_file(*other); !foreign.empty())
    usage_error("{}: {}", *other, foreign);
  if (files.size() > 1)
    usage_error("elbo train: {} is not an HDF5 file; expected one CONFIG.ini, or data sets only", *other);
  if (!is_of_run(path)) return {parse_config(read_file(path), path, line.settings), {}};
  std::vector<Setting> settings{{"run.directory", std::filesystem::absolute(path).parent_path().string()}};
  settings.insert(settings.end(), line.settings.begin(), line.settings.end());
  return {saved_config(read_file(path), path, settings), {}};
}

// The options of the model that the command line names: elbo train --model.name=autoencoder --help.
RunConfig defaults(const CommandLine& line) {
  RunConfig config;
  config.model = find_model("vae");
  for (const auto& [key, value] : line.settings)
    if (key == "model.name") config.model = find_model(value);
  return config;
}

// Where the run is, and the commands that most users call then.
std::string what_to_do_next(const std::string& directory, const DataShape& data) {
  const char* const ending = data.has_pixels()        ? "png"
                             : data.tokens > 0        ? "txt"
                             : data.kind == "tabular" ? "csv"
                                                      : "h5";
  const std::string use = data.kind == "interactions"
                              ? fmt::format("elbo recommend {} --history=ITEMS.txt", directory)
                              : fmt::format("elbo sample {} --out=samples.{}", directory, ending);
  return fmt::format(
      "the run is in {0}; next: elbo evaluate {0}, {1}, elbo score {0} DATA.h5 --out=scores.csv", directory,
      use);
}

ExitCode train(const Environment& environment, const Words& words) {
  TrainFlags flags;
  OptionTable table = flags.table();
  CommandLine line = parse_command_line(
      words, [&](const std::string& key) { return table.has(key) ? table.kind(key) : run_option_kind(key); });
  if (line.help) {
    print_help(train_command(), table);
    fmt::print("\n{}\n* decides results: a run is resumed with the same value\n",
               defaults(line).table().help(terminal_columns(), decides_results));
    return ExitCode::ok;
  }
  const auto started = TimeLimit::Clock::now();
  const StopRequest stop;
  take_own_settings(line, table);
  if (flags.resume) line.settings.emplace_back("run.resume", "auto");
  const Request request = read_request(environment, line);
  if (environment.rank() == 0 && !request.choices.empty())
    print_escaped("# Decided from the data; these lines are a configuration to keep and change.\n{}\n",
                  Lines{as_ini(request.choices)});
  if (flags.check) {
    const OpenedRun run = open_run_to_train(environment, *request.config, OpenPurpose::check);
    if (environment.rank() == 0) print_escaped("{}\n", Lines{describe(run.plan)});
    return ExitCode::ok;
  }
  RunConfig& config = *request.config;
  Training training(environment, config);
  const TrainOutcome outcome = training.run(stop, started);
  if (environment.rank() == 0) {
    if (outcome.stopped)
      log::info("stopped on request after step {}; --resume continues from there", outcome.step);
    if (!outcome.stopped) log::info("{}", what_to_do_next(config.directory(), training.plan().data));
    // Not fmt::print(), which throws where the terminal is gone: all is saved, and the exit code has to say
    // so.
    std::fputs(fmt::format("fingerprint {} step {}\n", outcome.fingerprint, outcome.step).c_str(), stdout);
  }
  return outcome.stopped ? ExitCode::stopped : ExitCode::ok;
}

}  // namespace

Command train_command() {
  return {"train", "CONFIG.ini|DATA.h5 …|RUN [--section.key=value …] [--resume] [--check]",
          "trains a model; RUN --resume continues the run in a folder, on any number of ranks", train};
}

}  // namespace elbo
