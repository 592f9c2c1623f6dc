// What main knows of the commands: one table. A command is one file: parse, assemble, call.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/options.h"
#include "comm/environment.h"

namespace elbo {

struct Command {
  std::string name;
  std::string usage;    // "RUN [--split=test] …"
  std::string summary;  // one line
  std::function<ExitCode(const Environment&, const CommandLine&)> run;
};

const std::vector<Command>& all_commands();

// Prints usage, summary and the options of the table to stdout: what every command does for --help.
void print_help(const Command& command, const OptionTable& options);

}  // namespace elbo
