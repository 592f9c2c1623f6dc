// What main knows of the commands: one table. A command is one file: parse, assemble, call.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/options.h"
#include "elbo/comm/environment.h"

namespace elbo {

using Words = std::vector<std::string>;  // of the command line, after the command's name

struct Command {
  std::string name;
  std::string usage;    // "RUN [--split=test] …"
  std::string summary;  // one line
  std::function<ExitCode(const Environment&, const Words&)> run;
};

// One for each command, each defined in the .cpp of its name.
Command bench_command();
Command convert_command();
Command decode_command();
Command encode_command();
Command evaluate_command();
Command export_command();
Command impute_command();
Command inspect_command();
Command interpolate_command();
Command models_command();
Command predict_command();
Command recommend_command();
Command reconstruct_command();
Command report_command();
Command sample_command();
Command score_command();
Command train_command();
Command transfer_command();
Command traverse_command();
Command tune_command();
Command verify_command();
Command watch_command();

std::vector<Command> all_commands();

// Prints usage, summary and the options of the table to stdout: what every command does for --help.
void print_help(const Command& command, const OptionTable& options);

// What a command begins with: the settings are in the table and the words that are not options have been
// counted, by apply() and require_words(). None: --help was printed, and nothing is left to do.
std::optional<CommandLine> begin(const Command& command, const Words& words, OptionTable& options,
                                 size_t least, size_t most, const std::string& expected);

// Applies the settings of the command line to the table. Throws a usage Error that names the nearest option.
void apply(const CommandLine& line, OptionTable& options);

// Applies those settings of the command line that the table has, and takes them out of it: the others are of
// a run. Throws a usage Error for a wrong value.
void take_own_settings(CommandLine& line, OptionTable& options);

// The words that are not options. Throws a usage Error unless there are `least` to `most` of them; `expected`
// says what they are.
void require_words(const Command& command, const CommandLine& line, size_t least, size_t most,
                   const std::string& expected);

}  // namespace elbo
