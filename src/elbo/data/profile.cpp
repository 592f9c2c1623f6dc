#include "elbo/data/profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <list>
#include <unordered_map>

#include "elbo/data/sampler.h"

namespace elbo {
namespace {

// Chunks in memory, of which the least recently used leaves.
class Cache {
 public:
  explicit Cache(int64_t most) : most_(std::max<int64_t>(1, most)) {}
  bool holds(int64_t chunk) {  // afterwards it does
    const auto place = places_.find(chunk);
    const bool held = place != places_.end();
    if (held) {
      sampler_.splice(sampler_.begin(), sampler_, place->second);
    } else {
      sampler_.push_front(chunk);
      places_[chunk] = sampler_.begin();
      if (static_cast<int64_t>(places_.size()) > most_) {
        places_.erase(sampler_.back());
        sampler_.pop_back();
      }
    }
    return held;
  }

 private:
  int64_t most_;
  std::list<int64_t> sampler_;
  std::unordered_map<int64_t, std::list<int64_t>::iterator> places_;
};

constexpr int64_t good_chunk = 512 << 10, small_chunk = 16 << 10, large_chunk = int64_t{64} * 1024 * 1024;

}  // namespace

std::optional<ValueProfile> profile_values(const DataFile& file, const std::string& dataset) {
  const auto guard = hdf5::lock();
  const hdf5::DatasetInfo info = file.describe(dataset);
  if (!info.numeric() || info.shape.empty() || info.shape.front() == 0) return std::nullopt;
  constexpr int64_t most_elements = 8 << 20, places = 64;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const int64_t rows = info.shape.front(), elements = info.row_elements();
  if (elements == 0 || elements > most_elements) return std::nullopt;
  const int64_t taken = std::clamp<int64_t>(most_elements / elements / places, 1, 256);  // at each place
  ValueProfile survey{.rows = 0, .lowest = infinity, .highest = -infinity, .mean = 0, .not_finite = 0};
  const std::shared_ptr<const RowReader> reader = file.reader(dataset, torch::kFloat32);
  std::vector<float> values;
  int64_t finite = 0;
  for (int64_t place = 0, next = 0; place < places && next < rows; ++place) {
    const int64_t first = std::max(next, place * rows / places), count = std::min(taken, rows - first);
    if (count <= 0) break;
    values.resize(static_cast<size_t>(count * elements));
    reader->read(first, count, values.data());
    for (const float stored : values) {
      const auto value = static_cast<double>(stored);
      if (!std::isfinite(value)) {
        ++survey.not_finite;
        continue;
      }
      survey.lowest = std::min(survey.lowest, value);
      survey.highest = std::max(survey.highest, value);
      survey.mean += (value - survey.mean) / static_cast<double>(++finite);
    }
    survey.rows += count;
    next = first + count;
  }
  return survey;
}

std::optional<ShuffleProfile> profile_shuffle(const RowSource& rows, int64_t shuffle_buffer_bytes, int64_t batch) {
  const int64_t chunk_rows = rows.rows_per_chunk(), window_rows = shuffle_buffer_bytes / rows.bytes_per_row();
  const Sampler order(rows.rows(), chunk_rows, window_rows, Key(1));
  const int64_t taken = std::min(rows.rows(), std::max<int64_t>(1 << 20, 4 * window_rows));
  if (taken > int64_t{16} * 1024 * 1024) return std::nullopt;
  Cache cache(2 * window_rows / chunk_rows);
  int64_t loaded = 0, batches = 0;
  double same = 0;
  std::unordered_map<int64_t, int64_t> in_batch;
  for (int64_t place = 0; place < taken; ++place) {
    const int64_t chunk = order.row_at(place) / chunk_rows;
    if (!cache.holds(chunk)) loaded += std::min(chunk_rows, rows.rows() - chunk * chunk_rows);
    same += static_cast<double>(in_batch[chunk]++);  // pairs with those before it
    if ((place + 1) % batch == 0) {
      in_batch.clear();
      ++batches;
    }
  }
  ShuffleProfile survey;
  survey.bytes_read = std::max(1.0, static_cast<double>(loaded) / static_cast<double>(taken));
  const double pairs =
      static_cast<double>(batches) * static_cast<double>(batch) * static_cast<double>(batch - 1) / 2;
  const double perfect = pairs * static_cast<double>(chunk_rows - 1) /
                         static_cast<double>(std::max<int64_t>(1, rows.rows() - 1));
  if (perfect > 0) survey.same_chunk = same / perfect;
  return survey;
}

std::string repack_line(const std::string& file, const std::string& path, const hdf5::DatasetInfo& info,
                        const std::string& access_method) {
  const int64_t elements = info.row_elements();
  const int64_t row_bytes = elements * static_cast<int64_t>(info.type_size);
  int64_t chunk_bytes = static_cast<int64_t>(info.type_size);
  for (const int64_t size : info.chunk) chunk_bytes *= size;
  const bool parts =
      !info.chunk.empty() && !std::equal(info.chunk.begin() + 1, info.chunk.end(), info.shape.begin() + 1);
  const bool many = !info.chunk.empty() && info.shape.front() > info.chunk.front();
  const bool foreign = access_method != "directly";
  if (!foreign && !parts && !(many && chunk_bytes < small_chunk) && !(chunk_bytes > large_chunk)) return "";
  std::vector<int64_t> chunk = info.shape;
  chunk.front() = std::clamp<int64_t>(good_chunk / std::max<int64_t>(1, row_bytes), 1, info.shape.front());
  const std::filesystem::path source(file);
  const std::string target = (source.parent_path() / (source.stem().string() + "_repacked.h5")).string();
  return fmt::format(
      "h5repack -l {}:CHUNK={}{} {} {}", path, fmt::join(chunk, "x"),
      foreign && !info.filters.empty() ? fmt::format(" -f {}:SHUF -f {}:GZIP=4", path, path) : "", file,
      target);
}

}  // namespace elbo
