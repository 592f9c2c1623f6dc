#include "elbo/commands/bench_exchange.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>

#include "elbo/base/stopwatch.h"
#include "elbo/base/text.h"
#include "elbo/parallel/flat_parameters.h"
#include "elbo/parallel/reduce_scatter.h"
#include "elbo/parallel/workers.h"

namespace elbo {
namespace {

// The median time of `call`, which all ranks begin together; the first call, which opens connections, is not
// counted.
double median_seconds(Communicator& comm, int64_t rounds, const std::function<void()>& call) {
  std::vector<double> seconds;
  for (int64_t round = 0; round <= rounds; ++round) {
    comm.barrier();
    Stopwatch watch;
    call();
    if (round > 0) seconds.push_back(watch.lap());
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

double bus_share(int64_t ranks) { return static_cast<double>(ranks - 1) / static_cast<double>(ranks); }

}  // namespace

std::vector<ExchangeSeconds> measure_exchange(const Levels& levels, const std::vector<int64_t>& bytes,
                                              int64_t rounds) {
  const std::vector<LevelSums> sums = sums_of_levels(levels, levels.size());
  Workers workers(1);
  std::vector<ExchangeSeconds> measured;
  for (const int64_t wanted : bytes) {
    const int64_t unit = levels.size() * block_elements;
    const int64_t elements = (wanted / 4 + unit - 1) / unit * unit;
    torch::Tensor values = torch::zeros({elements});
    ReduceScatter reduction(levels, sums, elements, values.options());
    const std::vector<int64_t> counts(static_cast<size_t>(levels.size()), elements / levels.size());
    ExchangeSeconds seconds{.bytes = 4 * elements};
    seconds.reduce_scatter = median_seconds(levels.world(), rounds, [&] {
      reduction.start({{{levels.rank(), levels.rank() + 1}, values}});
      while (!reduction.last()) reduction.next(&workers);
      reduction.finish(workers);
    });
    seconds.all_gather = median_seconds(levels.world(), rounds, [&] { levels.all_gather(values, counts); });
    measured.push_back(seconds);
  }
  return measured;
}

double measure_latency(Communicator& comm, int64_t rounds) {
  torch::Tensor all = torch::zeros({comm.size()});
  const std::vector<int64_t> counts(static_cast<size_t>(comm.size()), 1);
  comm.all_gather(all, counts);  // opens the connections
  std::vector<double> seconds;
  Stopwatch watch;
  for (int64_t round = 0; round < rounds; ++round) {
    comm.all_gather(all, counts);
    seconds.push_back(watch.lap());
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2] / static_cast<double>(comm.size() - 1);
}

Link measure_link(Communicator& comm, int64_t rounds) {
  constexpr int64_t elements_each = int64_t{1024} * 1024;
  Link link{.latency = measure_latency(comm, rounds), .seconds_per_byte = 0};
  torch::Tensor all = torch::zeros({comm.size() * elements_each});
  const std::vector<int64_t> counts(static_cast<size_t>(comm.size()), elements_each);
  const double seconds = median_seconds(comm, rounds, [&] { comm.all_gather(all, counts); });
  link.seconds_per_byte = seconds / static_cast<double>(4 * elements_each * (comm.size() - 1));
  return link;
}

void print_exchange(const std::vector<ExchangeSeconds>& measured, int64_t ranks) {
  fmt::print("\n{:>16}{:>38}{:>38}\n{:>16}", "", "reduce-scatter", "all-gather", "buffer");
  for (int part = 0; part < 2; ++part) fmt::print("{:>12}{:>13}{:>13}", "time", "algorithm", "bus");
  fmt::print("\n");
  const auto rate = [](double bytes, double seconds) {
    return human_bytes(bytes / std::max(seconds, 1e-12)) + "/s";
  };
  for (const ExchangeSeconds& each : measured) {
    const auto bytes = static_cast<double>(each.bytes);
    fmt::print("{:>16}", human_bytes(bytes));
    for (const double seconds : {each.reduce_scatter, each.all_gather})
      fmt::print("{:>12}{:>13}{:>13}", fmt::format("{:.3f} ms", 1000 * seconds), rate(bytes, seconds),
                 rate(bytes * bus_share(ranks), seconds));
    fmt::print("\n");
  }
}

nlohmann::ordered_json exchange_json(const std::vector<ExchangeSeconds>& measured, int64_t ranks) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const ExchangeSeconds& each : measured) {
    const auto of = [&](double seconds) {
      const double algorithm = static_cast<double>(each.bytes) / std::max(seconds, 1e-12);
      return nlohmann::ordered_json{{"seconds", seconds},
                                    {"algorithm_bandwidth", algorithm},
                                    {"bus_bandwidth", algorithm * bus_share(ranks)}};
    };
    rows.push_back({{"bytes", each.bytes},
                    {"reduce_scatter", of(each.reduce_scatter)},
                    {"all_gather", of(each.all_gather)}});
  }
  return rows;
}

}  // namespace elbo
