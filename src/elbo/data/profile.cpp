#include "elbo/data/profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <list>
#include <unordered_map>

#include "elbo/data/packed_values.h"
#include "elbo/data/sampler.h"

namespace elbo {
namespace {

// Simulates an LRU cache of chunks.
class LruCache {
 public:
  explicit LruCache(int64_t capacity) : capacity_(std::max<int64_t>(1, capacity)) {}
  // Whether it is a hit; a miss inserts the chunk.
  bool access(int64_t chunk) {
    const auto position = positions_.find(chunk);
    const bool hit = position != positions_.end();
    if (hit) {
      recent_.splice(recent_.begin(), recent_, position->second);
    } else {
      recent_.push_front(chunk);
      positions_[chunk] = recent_.begin();
      if (static_cast<int64_t>(positions_.size()) > capacity_) {
        positions_.erase(recent_.back());
        recent_.pop_back();
      }
    }
    return hit;
  }

 private:
  int64_t capacity_;
  std::list<int64_t> recent_;
  std::unordered_map<int64_t, std::list<int64_t>::iterator> positions_;
};

constexpr int64_t good_chunk = 512 << 10, small_chunk = 16 << 10, large_chunk = int64_t{64} * 1024 * 1024;

}  // namespace

std::optional<ValueProfile> profile_values(const DataFile& file, const std::string& dataset) {
  const auto guard = hdf5::lock();
  const hdf5::DatasetInfo info = file.describe(dataset);
  if (!info.numeric() || info.shape.empty() || info.shape.front() == 0) return std::nullopt;
  constexpr int64_t max_elements = 8 << 20, samples = 64;
  constexpr double inf = std::numeric_limits<double>::infinity();
  const int64_t rows = info.shape.front(), elements = info.row_elements();
  if (elements == 0 || elements > max_elements) return std::nullopt;
  const int64_t taken = std::clamp<int64_t>(max_elements / elements / samples, 1, 256);  // rows per sample
  ValueProfile profile{.rows = 0, .lowest = inf, .highest = -inf, .mean = 0, .not_finite = 0};
  profile.missing.resize(info.shape.size() == 2 ? static_cast<size_t>(elements) : 1);
  const PackedValues packed(hdf5::open_dataset(file.handle(), dataset));
  const std::shared_ptr<const RowReader> reader = file.reader(dataset, torch::kFloat32);
  std::vector<float> values;
  torch::Tensor observed = torch::empty({0}, torch::kBool);
  int64_t finite = 0;
  for (int64_t sample = 0, next = 0; sample < samples && next < rows; ++sample) {
    const int64_t first = std::max(next, sample * rows / samples), count = std::min(taken, rows - first);
    if (count <= 0) break;
    values.resize(static_cast<size_t>(count * elements));
    reader->read(first, count, values.data());
    observed.resize_({std::ssize(values)});
    auto* is_observed = observed.mutable_data_ptr<bool>();
    packed.find_observed(values.data(), std::ssize(values), is_observed);
    for (size_t i = 0; i < values.size(); ++i) {
      ColumnCount& column = profile.missing[i % profile.missing.size()];
      ++column.values;
      if (!is_observed[i]) {
        ++column.missing;
        continue;
      }
      const auto value = static_cast<double>(values[i]);
      if (!std::isfinite(value)) {
        ++profile.not_finite;
        continue;
      }
      profile.lowest = std::min(profile.lowest, value);
      profile.highest = std::max(profile.highest, value);
      profile.mean += (value - profile.mean) / static_cast<double>(++finite);
    }
    profile.rows += count;
    next = first + count;
  }
  return profile;
}

std::optional<ShuffleProfile> profile_shuffle(const RowSource& rows, int64_t shuffle_buffer_bytes,
                                              int64_t batch) {
  const int64_t chunk_rows = rows.rows_per_chunk(), window_rows = shuffle_buffer_bytes / rows.bytes_per_row();
  const Sampler sampler(rows.rows(), chunk_rows, window_rows, Key(1));
  const int64_t taken = std::min(rows.rows(), std::max<int64_t>(1 << 20, 4 * window_rows));
  if (taken > int64_t{16} * 1024 * 1024) return std::nullopt;
  LruCache cache(2 * window_rows / chunk_rows);
  int64_t loaded = 0, batches = 0;
  double same = 0;
  std::unordered_map<int64_t, int64_t> in_batch;
  for (int64_t position = 0; position < taken; ++position) {
    const int64_t chunk = sampler.row_at(position) / chunk_rows;
    if (!cache.access(chunk)) loaded += std::min(chunk_rows, rows.rows() - chunk * chunk_rows);
    same += static_cast<double>(in_batch[chunk]++);  // pairs with earlier rows of the batch
    if ((position + 1) % batch == 0) {
      in_batch.clear();
      ++batches;
    }
  }
  ShuffleProfile profile;
  profile.bytes_read = std::max(1.0, static_cast<double>(loaded) / static_cast<double>(taken));
  const double pairs =
      static_cast<double>(batches) * static_cast<double>(batch) * static_cast<double>(batch - 1) / 2;
  const double full_shuffle = pairs * static_cast<double>(chunk_rows - 1) /
                              static_cast<double>(std::max<int64_t>(1, rows.rows() - 1));
  if (full_shuffle > 0) profile.same_chunk = same / full_shuffle;
  return profile;
}

std::string repack_line(const std::string& file, const std::string& path, const hdf5::DatasetInfo& info,
                        const std::string& access_method) {
  const int64_t elements = info.row_elements();
  const int64_t row_bytes = elements * static_cast<int64_t>(info.type_size);
  int64_t chunk_bytes = static_cast<int64_t>(info.type_size);
  for (const int64_t size : info.chunk) chunk_bytes *= size;
  const bool partial_rows =
      !info.chunk.empty() && !std::equal(info.chunk.begin() + 1, info.chunk.end(), info.shape.begin() + 1);
  const bool several_chunks = !info.chunk.empty() && info.shape.front() > info.chunk.front();
  const bool through_library = access_method != "directly";
  if (!through_library && !partial_rows && !(several_chunks && chunk_bytes < small_chunk) &&
      !(chunk_bytes > large_chunk))
    return "";
  std::vector<int64_t> chunk = info.shape;
  chunk.front() = std::clamp<int64_t>(good_chunk / std::max<int64_t>(1, row_bytes), 1, info.shape.front());
  const std::filesystem::path source(file);
  const std::string target = (source.parent_path() / (source.stem().string() + "_repacked.h5")).string();
  return fmt::format(
      "h5repack -l {}:CHUNK={}{} {} {}", path, fmt::join(chunk, "x"),
      through_library && !info.filters.empty() ? fmt::format(" -f {}:SHUF -f {}:GZIP=4", path, path) : "",
      file, target);
}

}  // namespace elbo
