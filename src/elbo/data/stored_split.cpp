#include "elbo/data/stored_split.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "elbo/base/error.h"

namespace elbo {
namespace {

// The minimum size of a cached chunk, which may cover several chunks of the file. Large enough to amortise an
// HDF5 call.
constexpr int64_t minimum_chunk_bytes = int64_t{256} * 1024;

// Of values as they are stored.
const ValueRule& stored_value_rule() {
  static const ValueRule rule{.support = Support::real, .remedy = ", or set data.missing=mask"};
  return rule;
}

void widen(const uint8_t* bytes, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(bytes[i]);
}

}  // namespace

StoredSplit::StoredSplit(const DataFile& file, std::shared_ptr<ChunkCache> cache, StoredSplitOptions options)
    : options_(std::move(options)), path_(file.path()), cache_(std::move(cache)) {
  const hdf5::DatasetInfo info = describe_rows(file, options_.x);
  rows_ = info.shape.front();
  features_ = info.row_elements();
  bytes_ = info.bytes();
  item_bytes_ = bytes_ ? 1 : 4;
  const int64_t stored = info.chunk.empty() ? 1 : std::min(info.chunk.front(), rows_);
  rows_per_chunk_ =
      std::min(rows_, stored * std::max<int64_t>(1, minimum_chunk_bytes / (stored * bytes_per_row())));
  chunks_ = (rows_ + rows_per_chunk_ - 1) / rows_per_chunk_;
  x_ = open_rows(file, options_.x, stored_type());
  packed_ = PackedValues(hdf5::open_dataset(file.handle(), options_.x.path), options_.missing_values);
  random_access_ = x_->has_random_access();
  if (options_.labels.reader && (random_access_ || rows_ * label_bytes() <= options_.labels_bytes))
    labels_ = read_labels(0, rows_);
  if (options_.has_length) open_lengths(file);
}

void StoredSplit::open_lengths(const DataFile& file) {
  if (options_.length.empty()) {
    lengths_ = torch::full({rows_}, options_.row_shape.front(), torch::kInt64);
    return;
  }
  const hdf5::DatasetInfo info = file.describe(options_.length);
  if (info.type_class != H5T_INTEGER || info.shape != std::vector<int64_t>{rows_})
    file.reject(
        fmt::format("{} is not one integer for each of the {} rows; expected the length of each row in steps",
                    options_.length, rows_));
  lengths_ = torch::empty({rows_}, torch::kInt64);
  file.reader(options_.length, torch::kInt64)->read(0, rows_, lengths_.mutable_data_ptr());
  const int64_t steps = options_.row_shape.front();
  const torch::Tensor wrong = lengths_.lt(0).logical_or(lengths_.gt(steps)).nonzero();
  if (wrong.numel() > 0) {
    const auto row = wrong[0][0].item<int64_t>();
    file.reject(fmt::format("{} has the length {} in row {}; expected 0 to {}", options_.length,
                            lengths_[row].item<int64_t>(), row, steps));
  }
}

int64_t StoredSplit::label_bytes() const { return 8 * std::max<int64_t>(1, options_.labels.features); }

int64_t StoredSplit::chunk_bytes() const {
  if (random_access_) return 0;
  const int64_t label = options_.labels.reader && !labels_.defined() ? label_bytes() : 0;
  return rows_per_chunk_ * (bytes_per_row() + label);
}

Batch StoredSplit::read(const std::vector<int64_t>& ids) const {
  x_->require_unchanged();
  if (options_.labels.reader) options_.labels.reader->require_unchanged();
  const auto n = static_cast<int64_t>(ids.size());
  std::vector<int64_t> shape{n};
  shape.insert(shape.end(), options_.row_shape.begin(), options_.row_shape.end());
  Batch batch{torch::empty(shape), {}, torch::tensor(ids, torch::kInt64)};
  if (lengths_.defined()) batch.length = lengths_.index_select(0, batch.ids);
  auto* x = batch.x.mutable_data_ptr<float>();
  if (labels_.defined()) {
    batch.label = labels_.index_select(0, batch.ids);
  } else if (options_.labels.reader) {
    batch.label = empty_labels(options_.labels, n);
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t row = ids[static_cast<size_t>(i)];
    if (random_access_) {
      read_single_row(row, x + i * features_);
      continue;
    }
    const ChunkCache::Pointer from = chunk(row / rows_per_chunk_);
    const int64_t at = row % rows_per_chunk_;
    if (bytes_) {
      widen(from->x.const_data_ptr<uint8_t>() + at * features_, features_, x + i * features_);
    } else {
      std::memcpy(x + i * features_, from->x.const_data_ptr<float>() + at * features_,
                  static_cast<size_t>(features_) * sizeof(float));
    }
    if (options_.labels.reader && !labels_.defined()) batch.label[i].copy_(from->label[at]);
  }
  if (options_.tokens > 0) check_tokens(batch);
  if (options_.masks_missing) {
    mask_missing(batch);
  } else if (!packed_.none()) {
    require_observed(batch);
    packed_.unpack(x, batch.x.numel());
  }
  return batch;
}

// For a batch of stored numbers.
void StoredSplit::require_observed(const Batch& batch) const {
  const auto* x = batch.x.const_data_ptr<float>();
  for (int64_t i = 0; i < batch.size(); ++i)
    if (const std::string missing = packed_.missing_in(x + i * features_, features_); !missing.empty())
      usage_error("{} has {}; leave the row out, fill the value in, or set data.missing=mask",
                  place_of(batch.ids[i].item<int64_t>()), missing);
}

// Scales a batch of stored numbers, with 0 and false in its mask where they are missing.
void StoredSplit::mask_missing(Batch& batch) const {
  batch.observed = torch::empty(batch.x.sizes(), torch::kBool);
  auto* x = batch.x.mutable_data_ptr<float>();
  auto* observed = batch.observed.mutable_data_ptr<bool>();
  packed_.find_observed(x, batch.x.numel(), observed);
  packed_.unpack(x, batch.x.numel());
  for (int64_t i = 0; i < batch.x.numel(); ++i)
    if (!observed[i]) x[i] = 0;
  if (are_valid(x, batch.x.numel(), Support::real)) return;
  for (int64_t i = 0; i < batch.size(); ++i)
    require_valid(x + i * features_, 1, features_, {}, path_, options_.x.path, batch.ids[i].item<int64_t>());
}

void StoredSplit::read_single_row(int64_t row, float* out) const {
  if (bytes_) {
    thread_local std::vector<uint8_t> bytes;
    bytes.resize(static_cast<size_t>(features_));
    x_->read(row, 1, bytes.data());
    widen(bytes.data(), features_, out);
  } else {
    x_->read(row, 1, out);
    if (!options_.masks_missing)
      require_valid(out, 1, features_, stored_value_rule(), path_, options_.x.path, row);
  }
}

std::string StoredSplit::place_of(int64_t id) const {
  return fmt::format("{}: row {} of {}", path_, id, options_.x.path);
}

void StoredSplit::read_all() const {
  for (int64_t index = 0; index < chunks_; ++index) {
    if (random_access_) {
      load(index);
    } else {
      chunk(index);
    }
    if (options_.masks_missing || !packed_.none()) {  // missing values are found in a batch
      std::vector<int64_t> ids(
          static_cast<size_t>(std::min(rows_per_chunk_, rows_ - index * rows_per_chunk_)));
      std::iota(ids.begin(), ids.end(), index * rows_per_chunk_);
      read(ids);
    }
  }
}

ChunkCache::Pointer StoredSplit::chunk(int64_t index) const {
  return cache_->get({options_.number, index}, [&] { return load(index); });
}

Chunk StoredSplit::load(int64_t index) const {
  const int64_t first = index * rows_per_chunk_;
  const int64_t count = std::min(rows_per_chunk_, rows_ - first);
  Chunk chunk;
  chunk.x = torch::empty({count, features_}, stored_type());
  x_->read(first, count, chunk.x.mutable_data_ptr());
  if (!bytes_ && !options_.masks_missing)
    require_valid(chunk.x.const_data_ptr<float>(), count, features_, stored_value_rule(), path_,
                  options_.x.path, first);
  if (options_.labels.reader && !labels_.defined()) chunk.label = read_labels(first, count);
  return chunk;
}

torch::Tensor StoredSplit::read_labels(int64_t first, int64_t count) const {
  torch::Tensor label = empty_labels(options_.labels, count);
  options_.labels.reader->read(first, count, label.mutable_data_ptr());
  return label;
}

void StoredSplit::check_tokens(const Batch& batch) const {
  const torch::Tensor wrong = batch.x.lt(0).logical_or(batch.x.ge(static_cast<double>(options_.tokens)));
  if (!wrong.any().item<bool>()) return;
  const torch::Tensor first = wrong.nonzero()[0];
  usage_error("{}: {} has the token {:.0f} in row {}; expected 0 to {} (/vocabulary)", path_, options_.x.path,
              batch.x[first[0].item<int64_t>()][first[1].item<int64_t>()].item<double>(),
              batch.ids[first[0].item<int64_t>()].item<int64_t>(), options_.tokens - 1);
}

}  // namespace elbo
