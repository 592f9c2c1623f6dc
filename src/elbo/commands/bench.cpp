#include "elbo/commands/bench.h"

namespace elbo {
namespace {

ExitCode bench(const Environment& environment, const CommandLine& line) {
  const bool named = !line.positional.empty();
  if (named && line.positional[0] == "scale") return bench_scale(environment, line);
  if ((named && line.positional[0] == "data") || line.help) return bench_data(environment, line);
  usage_error("elbo bench {}: expected data or scale, what is measured", named ? line.positional[0] : "");
}

}  // namespace

Command bench_command() {
  return {"bench",
          "data DATA.h5 [--split=train] [--rounds=3] | scale CONFIG.ini [--steps=60] [--section.key=value …]",
          "measures what this machine can do (data: rows/s in training order, beside the HDF5 library; "
          "scale: where a "
          "step's time goes on these ranks, and would go on more)",
          bench};
}

}  // namespace elbo
