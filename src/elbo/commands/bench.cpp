#include "elbo/commands/bench.h"

#include <fmt/format.h>

namespace elbo {
namespace {

ExitCode bench(const Environment& environment, const Words& words) {
  const std::string what = words.empty() ? "" : words.front();
  if (what == "data") return bench_data(environment, words);
  if (what == "kernels") return bench_kernels(environment, words);
  if (what == "scale") return bench_scale(environment, words);
  if (what != "--help" && what != "-h")
    usage_error("elbo bench {}: expected data, kernels or scale, what is measured", what);
  print_help(bench_command(), {});
  fmt::print("\nelbo bench data --help, and so on, lists the options.\n");
  return ExitCode::ok;
}

}  // namespace

Command bench_command() {
  return {"bench",
          "data DATA.h5 [--split=train] [--rounds=3] | kernels [--in=784] [--out=400] | scale CONFIG.ini "
          "[--steps=60] [--section.key=value …]",
          "measures this machine (data: rows/s in training order, and of the HDF5 library; kernels: the "
          "products of a linear layer, "
          "elbo's and LibTorch's; scale: the parts of a "
          "step's time on these ranks, with a prediction for more)",
          bench};
}

}  // namespace elbo
