#include "elbo/data/sparse_rows.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

namespace elbo {
namespace {

constexpr int64_t chunk_entries = 32'768;
constexpr int64_t entry_bytes = 12;  // an index and a value in memory

// The length of a one-dimensional dataset. Throws a usage Error if its type or rank is not as expected.
int64_t length_of(const DataFile& file, const std::string& path, bool integers) {
  const hdf5::DatasetInfo info = file.describe(path);
  if (!info.numeric() || (integers && info.type_class != H5T_INTEGER) || info.shape.size() != 1)
    file.reject(fmt::format("{} holds {} in {} dimensions; expected {} in one dimension", path,
                            info.type_name, info.shape.size(), integers ? "integers" : "numbers"));
  return info.shape.front();
}

}  // namespace

bool holds_sparse_rows(const DataFile& file, const std::string& group) {
  return hdf5::exists(file.handle(), group + "/indices") && hdf5::exists(file.handle(), group + "/offsets");
}

SparseRows::SparseRows(const DataFile& file, const std::string& group, int64_t features,
                       std::shared_ptr<ChunkCache> cache, int64_t number, ValueRule rule)
    : path_(file.path()),
      group_(group),
      features_(features),
      cache_(std::move(cache)),
      number_(number),
      rule_(std::move(rule)) {
  const int64_t offsets = length_of(file, group + "/offsets", true);
  if (offsets < 2)
    file.reject(
        fmt::format("{}/offsets has {} elements; expected one more than there are rows", group, offsets));
  offsets_.resize(static_cast<size_t>(offsets));
  file.reader(group + "/offsets", torch::kInt64)->read(0, offsets, offsets_.data());
  const int64_t indices = length_of(file, group + "/indices", true);
  for (size_t i = 0; i < offsets_.size(); ++i)
    if (offsets_[i] < (i == 0 ? 0 : offsets_[i - 1]) || offsets_[i] > indices)
      file.reject(fmt::format(
          "{}/offsets is {} at index {}; expected ascending numbers from 0 to {}, the number of indices",
          group, offsets_[i], i, indices));
  indices_ = file.reader(group + "/indices", torch::kInt64);
  if (hdf5::exists(file.handle(), group + "/values")) {
    const int64_t values = length_of(file, group + "/values", false);
    if (values != indices)
      file.reject(fmt::format("{}/values has {} elements, but {}/indices has {}; expected as many", group,
                              values, group, indices));
    values_ = file.reader(group + "/values", torch::kFloat32);
  }
  if (features_ == 0)
    features_ = hdf5::read_integer_attribute(hdf5::open_group(file.handle(), group), "features")
                    .value_or(largest_index() + 1);
  if (features_ < 1) file.reject(fmt::format("{} has no columns; expected at least one entry", group));
}

int64_t SparseRows::row_of(int64_t entry) const {
  return std::ranges::upper_bound(offsets_, entry) - offsets_.begin() - 1;
}

int64_t SparseRows::largest_index() const {
  int64_t largest = -1;
  std::vector<int64_t> indices;
  for (int64_t first = 0; first < entries(); first += chunk_entries) {
    indices.resize(static_cast<size_t>(std::min(chunk_entries, entries() - first)));
    indices_->read(first, static_cast<int64_t>(indices.size()), indices.data());
    largest = std::max(largest, *std::ranges::max_element(indices));
  }
  return largest;
}

int64_t SparseRows::bytes_per_row() const { return std::max<int64_t>(1, entries() * entry_bytes / rows()); }

int64_t SparseRows::rows_per_chunk() const {
  return std::clamp<int64_t>(chunk_entries * entry_bytes / bytes_per_row(), 1, rows());
}

int64_t SparseRows::chunk_bytes() const { return std::min(chunk_entries, entries()) * entry_bytes; }

Chunk SparseRows::load(int64_t chunk_index) const {
  const int64_t first = chunk_index * chunk_entries, count = std::min(chunk_entries, entries() - first);
  Chunk chunk{torch::empty({count}, torch::kInt64), values_ ? torch::empty({count}) : torch::ones({count})};
  indices_->read(first, count, chunk.x.mutable_data_ptr());
  if (values_) values_->read(first, count, chunk.label.mutable_data_ptr());
  const auto* index = chunk.x.const_data_ptr<int64_t>();
  const auto* value = chunk.label.const_data_ptr<float>();
  for (int64_t i = 0; i < count; ++i)
    if (index[i] < 0 || index[i] >= features_)
      usage_error("{}: {}/indices is {} at index {}; expected 0 to {}", path_, group_, index[i], first + i,
                  features_ - 1);
  if (are_valid(value, count, rule_.support)) return chunk;
  int64_t wrong = 0;
  while (are_valid(value + wrong, 1, rule_.support)) ++wrong;
  require_valid(value + wrong, 1, 1, rule_, path_, group_ + "/values", row_of(first + wrong));
  return chunk;
}

Batch SparseRows::read(const std::vector<int64_t>& ids) const {
  indices_->require_unchanged();
  if (values_) values_->require_unchanged();
  const auto n = static_cast<int64_t>(ids.size());
  Batch batch;
  batch.x = torch::zeros({n, features_});
  batch.ids = torch::tensor(ids, torch::kInt64);
  auto* x = batch.x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    const auto row = static_cast<size_t>(ids[static_cast<size_t>(i)]);
    for (int64_t entry = offsets_[row]; entry < offsets_[row + 1];) {
      const int64_t chunk = entry / chunk_entries,
                    end = std::min(offsets_[row + 1], (chunk + 1) * chunk_entries);
      const ChunkCache::Pointer from = cache_->get({number_, chunk}, [&] { return load(chunk); });
      const auto* index = from->x.const_data_ptr<int64_t>();
      const auto* value = from->label.const_data_ptr<float>();
      for (; entry < end; ++entry)
        x[i * features_ + index[entry - chunk * chunk_entries]] = value[entry - chunk * chunk_entries];
    }
  }
  return batch;
}

std::string SparseRows::place_of(int64_t id) const {
  return fmt::format("{}: row {} of {}", path_, id, group_);
}

void SparseRows::read_all() const {
  for (int64_t chunk = 0; chunk * chunk_entries < entries(); ++chunk)
    cache_->get({number_, chunk}, [&] { return load(chunk); });
}

}  // namespace elbo
