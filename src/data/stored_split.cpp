#include "data/stored_split.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace elbo {
namespace {

// Rows that are read at once where the file's own chunks are smaller, or where it has none. Large enough that
// a call of HDF5 costs little beside it.
constexpr int64_t piece_bytes = int64_t{256} << 10;

int64_t product(const std::vector<int64_t>& sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

// bytes (n) → (n) scaled to [0, 1].
void scale_bytes(const uint8_t* bytes, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(bytes[i]) / 255.0F;
}

}  // namespace

StoredSplit::StoredSplit(const hdf5::Handle& file, StoredSplitOptions options)
    : options_(std::move(options)), x_(hdf5::open_dataset(file, options_.x)) {
  const hdf5::DatasetInfo info = hdf5::describe(x_);
  rows_ = info.shape.front();
  features_ = product(options_.row_shape);
  bytes_ = info.type_class == H5T_INTEGER && info.type_size == 1 && !info.is_signed;
  item_bytes_ = bytes_ ? 1 : 4;
  const int64_t stored = info.chunk.empty() ? 1 : std::min(info.chunk.front(), rows_);
  rows_per_chunk_ = std::min(rows_, stored * std::max<int64_t>(1, piece_bytes / (stored * bytes_per_row())));
  slots_.resize(static_cast<size_t>((rows_ + rows_per_chunk_ - 1) / rows_per_chunk_));
  if (options_.label.empty()) return;
  label_ = hdf5::open_dataset(file, options_.label);
  integer_labels_ = hdf5::describe(label_).type_class == H5T_INTEGER;
}

Batch StoredSplit::read(const std::vector<int64_t>& ids) const {
  const auto n = static_cast<int64_t>(ids.size());
  std::vector<int64_t> shape{n};
  shape.insert(shape.end(), options_.row_shape.begin(), options_.row_shape.end());
  Batch batch{torch::empty(shape), {}, torch::tensor(ids, torch::kInt64)};
  auto* x = batch.x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t row = ids[static_cast<size_t>(i)];
    const ChunkPointer from = chunk(row / rows_per_chunk_);
    const int64_t at = row % rows_per_chunk_;
    if (bytes_) {
      scale_bytes(from->x.const_data_ptr<uint8_t>() + at * features_, features_, x + i * features_);
    } else {
      std::memcpy(x + i * features_, from->x.const_data_ptr<float>() + at * features_,
                  static_cast<size_t>(features_) * sizeof(float));
    }
    if (!label_) continue;
    if (!batch.label.defined()) {
      std::vector<int64_t> label_shape = from->label.sizes().vec();
      label_shape.front() = n;
      batch.label = torch::empty(label_shape, from->label.options());
    }
    const auto label_bytes = static_cast<int64_t>(from->label.nbytes()) / from->label.size(0);
    std::memcpy(static_cast<char*>(batch.label.mutable_data_ptr()) + i * label_bytes,
                static_cast<const char*>(from->label.const_data_ptr()) + at * label_bytes,
                static_cast<size_t>(label_bytes));
  }
  return batch;
}

StoredSplit::ChunkPointer StoredSplit::chunk(int64_t index) const {
  if (ChunkPointer here = find(index)) return here;
  const auto guard = hdf5::lock();
  if (ChunkPointer here = find(index)) return here;  // another thread was quicker
  ChunkPointer loaded = load(index);
  keep(index, loaded);
  return loaded;
}

StoredSplit::ChunkPointer StoredSplit::find(int64_t index) const {
  const std::lock_guard guard(mutex_);
  Slot& slot = slots_[static_cast<size_t>(index)];
  slot.last_use = ++clock_;
  return slot.chunk;
}

StoredSplit::ChunkPointer StoredSplit::load(int64_t index) const {
  const int64_t first = index * rows_per_chunk_;
  const int64_t count = std::min(rows_per_chunk_, rows_ - first);
  Chunk chunk;
  chunk.x = torch::empty({count, features_}, bytes_ ? torch::kUInt8 : torch::kFloat32);
  hdf5::read_rows(x_, first, count, bytes_ ? H5T_NATIVE_UINT8 : H5T_NATIVE_FLOAT, chunk.x.mutable_data_ptr());
  if (!bytes_) check_x(chunk.x, first);
  if (label_) {
    std::vector<int64_t> shape = hdf5::describe(label_).shape;
    shape.front() = count;
    chunk.label = torch::empty(shape, integer_labels_ ? torch::kInt64 : torch::kFloat32);
    hdf5::read_rows(label_, first, count, integer_labels_ ? H5T_NATIVE_INT64 : H5T_NATIVE_FLOAT,
                    chunk.label.mutable_data_ptr());
    check_label(chunk.label, first);
  }
  return std::make_shared<const Chunk>(std::move(chunk));
}

void StoredSplit::keep(int64_t index, ChunkPointer loaded) const {
  const std::lock_guard guard(mutex_);
  const int64_t bytes = rows_per_chunk_ * bytes_per_row();
  while (kept_bytes_ > 0 && kept_bytes_ + bytes > options_.cache_bytes) {
    Slot* oldest = nullptr;
    for (Slot& slot : slots_)
      if (slot.chunk && (oldest == nullptr || slot.last_use < oldest->last_use)) oldest = &slot;
    oldest->chunk.reset();
    kept_bytes_ -= bytes;
  }
  slots_[static_cast<size_t>(index)].chunk = std::move(loaded);
  kept_bytes_ += bytes;
}

void StoredSplit::check_x(const torch::Tensor& x, int64_t first_row) const {
  const auto first_bad = [&](const torch::Tensor& good) {
    return first_row + good.all(1).logical_not().nonzero()[0][0].item<int64_t>();
  };
  const torch::Tensor finite = x.isfinite();
  if (!finite.all().item<bool>())
    usage_error("{}: {} holds a value that is not finite (NaN or infinity) in row {}; remove or replace it",
                options_.file, options_.x, first_bad(finite));
  if (!options_.in_unit_interval) return;
  const torch::Tensor inside = x.ge(0).logical_and(x.le(1));
  if (!inside.all().item<bool>())
    usage_error(
        "{}: {} holds a value outside of [0, 1] in row {}; store images as uint8, or scale them to [0, 1]",
        options_.file, options_.x, first_bad(inside));
}

void StoredSplit::check_label(const torch::Tensor& label, int64_t first_row) const {
  const torch::Tensor good =
      integer_labels_ ? label.ge(0).logical_and(label.lt(options_.classes)) : label.isfinite();
  if (good.all().item<bool>()) return;
  const int64_t row = good.reshape({good.size(0), -1}).all(1).logical_not().nonzero()[0][0].item<int64_t>();
  if (!integer_labels_)
    usage_error("{}: {} holds a label that is not finite in row {}; remove or replace it", options_.file,
                options_.label, first_row + row);
  usage_error("{}: {} holds the label {} in row {}; expected 0 to {}", options_.file, options_.label,
              label[row].item<int64_t>(), first_row + row, options_.classes - 1);
}

}  // namespace elbo
