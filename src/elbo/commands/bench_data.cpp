#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

#include "elbo/base/stopwatch.h"
#include "elbo/base/text.h"
#include "elbo/commands/bench.h"
#include "elbo/data/dataset.h"
#include "elbo/data/sampler.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

struct BenchDataOptions {
  std::string split = "train";
  int64_t rows = 0, microbatch = 64, rounds = 3;
  DataOptions data;
  OptionTable table() {
    OptionTable table;
    table.add("split", split, "split that is read: train, validation or test");
    table.add("rows", rows, "rows read in a round; 0: the whole split", Range::at_least(0));
    table.add("microbatch", microbatch, "rows read at once", Range::at_least(1));
    table.add("rounds", rounds, "number of rounds; each method reads once in each round",
              Range::between(1, 100));
    data.bind(table);
    return table;
  }
};

// The rows in the order of training, in microbatches.
std::vector<std::vector<int64_t>> in_training_order(const RowSource& rows, int64_t shuffle_buffer_bytes,
                                                    const BenchDataOptions& options) {
  const Sampler order(rows.rows(), rows.rows_per_chunk(), shuffle_buffer_bytes / rows.bytes_per_row(),
                      Key(1));
  const int64_t count = options.rows == 0 ? rows.rows() : std::min(options.rows, rows.rows());
  std::vector<std::vector<int64_t>> groups;
  for (int64_t first = 0; first < count; first += options.microbatch) {
    groups.emplace_back();
    for (int64_t place = first; place < std::min(first + options.microbatch, count); ++place)
      groups.back().push_back(order.row_at(place));
  }
  return groups;
}

// Rows a second of a data set that is opened for this round, so that no decoded chunk is in memory.
double rate_of_elbo(const BenchDataOptions& options, const std::vector<std::vector<int64_t>>& groups) {
  const Dataset dataset(options.data);
  const RowSource& rows = dataset.split(options.split);
  Stopwatch watch;
  int64_t read = 0;
  for (const std::vector<int64_t>& group : groups) read += rows.read(group).size();
  return static_cast<double>(read) / watch.lap();
}

// Rows a second of a program that reads row by row with the HDF5 library. Stops after a few seconds.
double rate_of_library(const hdf5::Handle& dataset, const std::vector<std::vector<int64_t>>& groups,
                       int64_t features) {
  constexpr double enough = 3;  // seconds
  Stopwatch watch;
  double seconds = 0;
  int64_t read = 0;
  for (const std::vector<int64_t>& group : groups) {
    torch::Tensor batch = torch::empty({static_cast<int64_t>(group.size()), features});
    for (size_t i = 0; i < group.size(); ++i, ++read)
      hdf5::read_rows(dataset, group[i], 1, H5T_NATIVE_FLOAT,
                      batch.mutable_data_ptr<float>() + static_cast<int64_t>(i) * features);
    seconds += watch.lap();
    if (seconds > enough) break;
  }
  return static_cast<double>(read) / seconds;
}

struct Rates {
  std::string name;
  std::vector<double> rows_per_second;
};

void print(const std::vector<Rates>& methods, double row_bytes) {
  fmt::print("{:<44}{:>14}{:>14}{:>14}\n", "rows/s", "median", "best", "bytes/s");
  for (Rates method : methods) {
    std::ranges::sort(method.rows_per_second);
    const double median = method.rows_per_second[method.rows_per_second.size() / 2];
    fmt::print("{:<44}{:>14.0f}{:>14.0f}{:>14}\n", method.name, median, method.rows_per_second.back(),
               human_bytes(median * row_bytes));
  }
}

ExitCode measure(const std::string& path, BenchDataOptions& options) {
  options.data.path = path;
  const Dataset dataset(options.data);
  const RowSource& rows = dataset.split(options.split);
  const std::vector<std::vector<int64_t>> groups =
      in_training_order(rows, dataset.shuffle_buffer_bytes(), options);
  const hdf5::Handle x = hdf5::open_dataset(hdf5::open_file(path), "/" + options.split + "/x");
  const int64_t features = dataset.shape().features();

  fmt::print("{}: {} rows of {}, read {}\n", path, rows.rows(),
             human_bytes(static_cast<double>(rows.bytes_per_row())), rows.access_method());
  std::vector<Rates> methods{{"elbo, in training order, one thread", {}},
                             {"H5Dread, row by row, in the same order", {}}};
  for (int64_t round = 0; round < options.rounds; ++round) {
    methods[0].rows_per_second.push_back(rate_of_elbo(options, groups));
    methods[1].rows_per_second.push_back(rate_of_library(x, groups, features));
  }
  print(methods, static_cast<double>(rows.bytes_per_row()));
  return ExitCode::ok;
}

}  // namespace

ExitCode bench_data(const Environment& environment, const Words& words) {
  BenchDataOptions options;
  OptionTable table = options.table();
  const std::optional<CommandLine> line = begin(bench_command(), words, table, 2, 2, "data and a data set");
  if (!line) return ExitCode::ok;
  if (environment.rank() != 0) return ExitCode::ok;
  return measure(line->positional[1], options);
}

}  // namespace elbo
