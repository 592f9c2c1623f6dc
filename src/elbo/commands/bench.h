// What `elbo bench` measures, each kind in its own file.
#pragma once
#include "elbo/commands/command.h"

namespace elbo {

ExitCode bench_data(const Environment& environment, const Words& words);
ExitCode bench_kernels(const Environment& environment, const Words& words);
ExitCode bench_scale(const Environment& environment, const Words& words);

}  // namespace elbo
