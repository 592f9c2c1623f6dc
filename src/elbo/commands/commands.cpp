#include <fmt/format.h>

#include <cstdio>

#include "elbo/base/text.h"
#include "elbo/commands/command.h"

namespace elbo {

std::vector<Command> all_commands() {
  return {train_command(),     tune_command(),        watch_command(),    evaluate_command(),
          sample_command(),    reconstruct_command(), predict_command(),  impute_command(),
          recommend_command(), interpolate_command(), traverse_command(), transfer_command(),
          encode_command(),    decode_command(),      score_command(),    report_command(),
          export_command(),    models_command(),      inspect_command(),  verify_command(),
          convert_command(),   bench_command()};
}

void print_help(const Command& command, const OptionTable& options) {
  const size_t width = terminal_columns();
  const std::string usage = fmt::format("usage: elbo {}", command.name);
  fmt::print("{}\n{}", hanging(usage, command.usage, usage.size() + 1, width),
             hanging("", command.summary, 0, width));
  const std::string table = options.help(width);
  if (!table.empty()) fmt::print("\n{}", table);
}

void apply(const CommandLine& line, OptionTable& options) {
  for (const Setting& setting : line.settings) options.set(setting, "--");
}

void take_own_settings(CommandLine& line, OptionTable& options) {
  std::erase_if(line.settings, [&](const Setting& setting) {
    if (!options.has(setting.first)) return false;
    options.set(setting, "--");
    return true;
  });
}

void require_words(const Command& command, const CommandLine& line, size_t least, size_t most,
                   const std::string& expected) {
  const size_t given = line.positional.size();
  if (given < least || given > most)
    usage_error("elbo {}: expected {}, got {}; usage: elbo {} {}", command.name, expected,
                given == 0 ? "nothing" : fmt::format("{} words", given), command.name, command.usage);
}

std::optional<CommandLine> begin(const Command& command, const Words& words, OptionTable& options,
                                 size_t least, size_t most, const std::string& expected) {
  CommandLine line = parse_command_line(words, [&](const std::string& key) { return options.kind(key); });
  if (line.help) {
    print_help(command, options);
    return std::nullopt;
  }
  apply(line, options);
  require_words(command, line, least, most, expected);
  return line;
}

}  // namespace elbo
