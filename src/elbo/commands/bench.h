// What `elbo bench` measures, each kind a file of its own.
#pragma once
#include "elbo/commands/command.h"

namespace elbo {

ExitCode bench_data(const Environment& environment, const CommandLine& line);
ExitCode bench_scale(const Environment& environment, const CommandLine& line);

}  // namespace elbo
