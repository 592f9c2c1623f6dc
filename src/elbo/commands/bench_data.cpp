#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <utility>

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
  int64_t rows = 0, microbatch = 64, rounds = 3, threads = 1;
  DataOptions data;
  OptionTable table() {
    OptionTable table;
    table.add("split", split, "split that is read: train, validation, test, or all for one after another");
    table.add("rows", rows, "rows read in a round; 0: the whole split", Range::at_least(0));
    table.add("microbatch", microbatch, "rows read at once", Range::at_least(1));
    table.add("threads", threads, "threads that read microbatches at the same time", Range::between(1, 1024));
    table.add("rounds", rounds, "number of rounds; each method reads once in each round",
              Range::between(1, 100));
    data.bind(table);
    return table;
  }
};

using Microbatches = std::vector<std::vector<int64_t>>;  // numbers of rows

// The rows in the order of training, in microbatches.
Microbatches in_training_order(const RowSource& rows, int64_t shuffle_buffer_bytes,
                               const BenchDataOptions& options) {
  const Sampler order(rows.rows(), rows.rows_per_chunk(), shuffle_buffer_bytes / rows.bytes_per_row(),
                      Key(1));
  const int64_t count = options.rows == 0 ? rows.rows() : std::min(options.rows, rows.rows());
  Microbatches groups;
  for (int64_t first = 0; first < count; first += options.microbatch) {
    groups.emplace_back();
    for (int64_t place = first; place < std::min(first + options.microbatch, count); ++place)
      groups.back().push_back(order.row_at(place));
  }
  return groups;
}

// Rows a second of a data set that is opened for this round, so that no decoded chunk is in memory.
double rate_of_elbo(const BenchDataOptions& options, const Microbatches& groups) {
  const Dataset dataset(options.data);
  const RowSource& rows = dataset.split(options.split);
  std::atomic<size_t> next = 0;
  std::atomic<int64_t> read = 0;
  const auto read_all = [&] {
    for (size_t i = next++; i < groups.size(); i = next++) read += rows.read(groups[i]).size();
  };
  Stopwatch watch;
  std::vector<std::future<void>> readers;
  readers.reserve(static_cast<size_t>(options.threads));
  for (int64_t i = 0; i < options.threads; ++i) readers.push_back(std::async(std::launch::async, read_all));
  for (std::future<void>& reader : readers) reader.get();  // throws what the thread threw
  return static_cast<double>(read.load()) / watch.lap();
}

// The datasets that hold the rows of a split one after another, if the HDF5 library can read them.
class StoredDatasets {
 public:
  StoredDatasets(const std::string& path, const Dataset& dataset, const BenchDataOptions& options) {
    const hdf5::Handle file = hdf5::open_file(path);
    const bool all = options.split == "all";
    for (const std::string& split : all ? dataset.splits() : std::vector{options.split}) {
      const std::string x =
          options.data.x.starts_with('/') ? options.data.x : fmt::format("/{}/{}", split, options.data.x);
      if (!hdf5::exists(file, x) || hdf5::is_group(file, x)) continue;
      hdf5::Handle stored = hdf5::open_dataset(file, x);
      const hdf5::DatasetInfo info = hdf5::describe(stored);
      const bool readable = std::ranges::all_of(
          info.filters, [](const auto& filter) { return H5Zfilter_avail(filter.id) > 0; });
      if (!info.numeric() || !readable) continue;  // such as a table
      parts_.push_back({rows_, std::move(stored)});
      rows_ += info.shape.front();
    }
  }
  int64_t rows() const { return rows_; }
  void read(int64_t row, float* out) const {
    const auto part = std::prev(std::ranges::upper_bound(parts_, row, {}, &Part::first));
    hdf5::read_rows(part->dataset, row - part->first, 1, H5T_NATIVE_FLOAT, out);
  }

 private:
  struct Part {
    int64_t first = 0;  // row
    hdf5::Handle dataset;
  };
  std::vector<Part> parts_;
  int64_t rows_ = 0;
};

// Rows a second of a program that reads row by row with the HDF5 library. Stops after a few seconds.
double rate_of_library(const StoredDatasets& datasets, const Microbatches& groups, int64_t features) {
  constexpr double enough = 3;  // seconds
  Stopwatch watch;
  double seconds = 0;
  int64_t read = 0;
  for (const std::vector<int64_t>& group : groups) {
    torch::Tensor batch = torch::empty({static_cast<int64_t>(group.size()), features});
    for (size_t i = 0; i < group.size(); ++i, ++read)
      datasets.read(group[i], batch.mutable_data_ptr<float>() + static_cast<int64_t>(i) * features);
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
  const Microbatches groups = in_training_order(rows, dataset.shuffle_buffer_bytes(), options);
  const StoredDatasets stored(path, dataset, options);
  const bool beside_library = stored.rows() == rows.rows();  // not of sparse rows, or of held-out ones

  fmt::print("{}: {} rows of {}, read {}\n", path, rows.rows(),
             human_bytes(static_cast<double>(rows.bytes_per_row())), rows.access_method());
  std::vector<Rates> methods{
      {fmt::format("elbo, in training order, {} thread{}", options.threads, options.threads == 1 ? "" : "s"),
       {}}};
  if (beside_library) methods.push_back({"H5Dread, row by row, in the same order", {}});
  for (int64_t round = 0; round < options.rounds; ++round) {
    methods[0].rows_per_second.push_back(rate_of_elbo(options, groups));
    if (beside_library)
      methods[1].rows_per_second.push_back(rate_of_library(stored, groups, dataset.shape().features()));
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
