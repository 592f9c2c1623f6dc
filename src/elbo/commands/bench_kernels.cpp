#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>

#include "elbo/base/random.h"
#include "elbo/base/stopwatch.h"
#include "elbo/commands/bench.h"
#include "elbo/kernels/product.h"
#include "elbo/run/device.h"

namespace elbo {
namespace {

struct BenchKernelsOptions {
  int64_t batch = 64, in = 784, out = 400, rounds = 15;
  std::string device = "cpu";
  OptionTable table() {
    OptionTable table;
    const Range sizes = Range::between(1, 1 << 16);
    table.add("batch", batch, "rows of the layer's input", sizes);
    table.add("in", in, "columns of its input", sizes);
    table.add("out", out, "columns of its output", sizes);
    table.add("rounds", rounds, "number of rounds; each method computes once in each round",
              Range::between(1, 10000));
    table.add_choice("device", device, {"cpu", "cuda"}, "where the products are computed");
    return table;
  }
};

// One product of a linear layer: C (m, n) = A (m, k) · B (k, n), as they are in memory there.
struct LayerProduct {
  std::string name;
  torch::Tensor a, b;  // views, transposed where the layer's are
  torch::Tensor c() const { return torch::empty({a.size(0), b.size(1)}); }
  double flops() const { return 2.0 * static_cast<double>(a.numel() * b.size(1)); }
};

MatrixView view_of(const torch::Tensor& x) {
  return {x.const_data_ptr<float>(), x.size(0), x.size(1), x.stride(0), x.stride(1)};
}

// GFLOP/s in each round.
struct MethodRates {
  std::string name;
  std::vector<double> rates{};
};

double rate(double flops, const std::function<void()>& compute) {
  const int64_t times =
      std::max<int64_t>(1, static_cast<int64_t>(2e7 / flops));  // a quarter of a millisecond or more
  Stopwatch watch;
  for (int64_t i = 0; i < times; ++i) compute();
  return 1e-9 * flops * static_cast<double>(times) / watch.lap();
}

std::vector<InstructionSet> available_sets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : {InstructionSet::avx512, InstructionSet::avx2, InstructionSet::portable})
    if (is_available(set)) sets.push_back(set);
  return sets;
}

void print(std::string_view what, std::vector<MethodRates> methods) {
  fmt::print("{}\n", what);
  for (MethodRates& method : methods) {
    std::ranges::sort(method.rates);
    fmt::print("  {:<38}{:>10.1f}{:>10.1f}\n", method.name, method.rates[method.rates.size() / 2],
               method.rates.back());
  }
}

void measure(const LayerProduct& product_of, int64_t rounds) {
  std::vector<MethodRates> methods{{"LibTorch"}};
  const std::vector<InstructionSet> sets = available_sets();
  for (const InstructionSet set : sets) methods.push_back({"elbo, " + name_of(set)});
  torch::Tensor c = product_of.c();
  for (int64_t round = 0; round < rounds; ++round) {
    methods[0].rates.push_back(
        rate(product_of.flops(), [&] { torch::mm_out(c, product_of.a, product_of.b); }));
    for (size_t i = 0; i < sets.size(); ++i)
      methods[i + 1].rates.push_back(rate(product_of.flops(), [&] {
        product(view_of(product_of.a), view_of(product_of.b), nullptr, c.mutable_data_ptr<float>(), sets[i]);
      }));
  }
  print(product_of.name, std::move(methods));
}

// The products of a layer of these sizes.
std::vector<LayerProduct> products_of_layer(const BenchKernelsOptions& options, torch::Device device) {
  RandomGenerator random(Key(1), torch::kCPU);
  const torch::Tensor x = random.normal({options.batch, options.in}).to(device),
                      y = random.normal({options.batch, options.out}).to(device),
                      weight = random.normal({options.out, options.in}).to(device);
  return {{fmt::format("forward, {} × {} · {} × {}", options.batch, options.in, options.in, options.out), x,
           weight.t()},
          {"gradient of the input", y, weight},
          {"gradient of the weight", y.t(), x}};
}

// Rates of LibTorch's operator on a GPU, by the kernels in use.
std::vector<double> gpu_rates(const LayerProduct& product_of, int64_t rounds) {
  constexpr int warm_up = 3, calls = 20;
  const auto device = product_of.a.device().index();
  std::vector<double> rates;
  rates.reserve(static_cast<size_t>(rounds));
  for (int64_t round = -1; round < rounds; ++round) {  // the first is not counted
    torch::cuda::synchronize(device);
    Stopwatch watch;
    const int times = round < 0 ? warm_up : calls;
    for (int i = 0; i < times; ++i) torch::mm(product_of.a, product_of.b);
    torch::cuda::synchronize(device);
    if (round >= 0) rates.push_back(1e-9 * product_of.flops() * times / watch.lap());
  }
  return rates;
}

ExitCode measure_on_gpu(const BenchKernelsOptions& options, torch::Device device) {
  const torch::NoGradGuard no_grad;
  const std::vector<LayerProduct> products = products_of_layer(options, device);
  std::vector<std::vector<MethodRates>> rates;
  rates.reserve(products.size());
  for (const LayerProduct& product_of : products)
    rates.push_back({{"LibTorch", gpu_rates(product_of, options.rounds)}});
  prepare_device(device, {.kernels = "portable"});
  fmt::print("{}, {} rounds, GFLOP/s{:>19}{:>10}\n", device.str(), options.rounds, "median", "best");
  for (size_t i = 0; i < products.size(); ++i) {
    rates[i].push_back({"elbo", gpu_rates(products[i], options.rounds)});
    print(products[i].name, std::move(rates[i]));
  }
  return ExitCode::ok;
}

ExitCode measure(const BenchKernelsOptions& options) {
  at::set_num_threads(1);
  const torch::NoGradGuard no_grad;
  RandomGenerator random(Key(1), torch::kCPU);
  fmt::print("one thread, {} rounds, GFLOP/s{:>19}{:>10}\n", options.rounds, "median", "best");
  // Both factors stay in the first-level cache: what the CPU's units can do.
  const torch::Tensor left = random.normal({24, 256}), right = random.normal({256, 32});
  measure({"within the cache, 24 × 256 · 256 × 32", left, right}, options.rounds);
  for (const LayerProduct& product_of : products_of_layer(options, torch::kCPU))
    measure(product_of, options.rounds);
  return ExitCode::ok;
}

}  // namespace

ExitCode bench_kernels(const Environment& environment, const Words& words) {
  BenchKernelsOptions options;
  OptionTable table = options.table();
  const std::optional<CommandLine> line = begin(bench_command(), words, table, 1, 1, "kernels");
  if (!line) return ExitCode::ok;
  if (environment.rank() != 0) return ExitCode::ok;
  const torch::Device device = choose_device(options.device, "--device", environment);
  return device.is_cpu() ? measure(options) : measure_on_gpu(options, device);
}

}  // namespace elbo
