#include "elbo/hdf5/row_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>

#include "elbo/base/error.h"
#include "elbo/hdf5/bytes.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/decode.h"
#include "elbo/hdf5/storage.h"

namespace elbo {
namespace {

class LibraryReader final : public RowReader {
 public:
  LibraryReader(hdf5::Handle dataset, torch::ScalarType type, std::shared_ptr<const FoundStorage> found)
      : dataset_(std::move(dataset)), type_(hdf5::memory_type(type)), found_(std::move(found)) {}
  void read(int64_t first, int64_t count, void* out) const override {
    require_sources(*found_);
    try {
      hdf5::read_rows(dataset_, first, count, type_, out);
    } catch (const Error&) {
      if (found_->missing_filter.empty()) throw;
      // Only now, because a chunk may be stored without the filter.
      usage_error(
          "{}: HDF5 filter {} is not installed; set HDF5_PLUGIN_PATH to the folder of its plugin, or rewrite "
          "the file where the filter is installed: h5repack -f GZIP=4 OLD NEW",
          hdf5::name_of(dataset_.get()), found_->missing_filter);
    }
  }
  bool has_random_access() const override { return false; }
  void require_unchanged() const override { found_->file->require_unchanged(); }
  std::string access_method() const override {
    return "through the HDF5 library, because " + found_->why_not;
  }

 private:
  // The library opens the sources of a virtual dataset by their names, and reads fill values where it cannot.
  static void require_sources(const FoundStorage& found) {
    for (const Source& source : found.sources) {
      source.found->file->require_in_place();
      require_sources(*source.found);
    }
  }

  hdf5::Handle dataset_;
  hid_t type_;
  std::shared_ptr<const FoundStorage> found_;
};

class DirectReader final : public RowReader {
 public:
  DirectReader(std::shared_ptr<const RawFile> file, std::string name, std::shared_ptr<const Storage> storage,
               torch::ScalarType type)
      : file_(std::move(file)),
        name_(std::move(name)),
        storage_(std::move(storage)),
        type_(type),
        item_bytes_(static_cast<int64_t>(torch::elementSize(type))),
        as_stored_(same_representation(storage_->type, type)) {
    for (size_t d = 1; d < storage_->shape.size(); ++d) {
      row_elements_ *= storage_->shape[d];
      chunks_of_rows_ *= storage_->chunks_along(d);
    }
    row_bytes_ = row_elements_ * storage_->type.size;
    whole_rows_ = std::equal(storage_->shape.begin() + 1, storage_->shape.end(), storage_->chunk.begin() + 1);
  }

  void read(int64_t first, int64_t count, void* out) const override {
    const int64_t rows = storage_->chunk.front();
    auto* target = static_cast<uint8_t*>(out);
    for (int64_t row = first; row < first + count;) {
      const int64_t group = row / rows;  // the chunks that share their rows
      int64_t n = std::min((group + 1) * rows, first + count) - row;
      if (has_random_access()) {
        n = std::min(end_of_contiguous(group, first + count) - row, first + count - row);
        read_unfiltered(group, row - group * rows, n, target);
      } else {
        read_from_chunks(group, row - group * rows, n, target);
      }
      target += n * row_elements_ * item_bytes_;
      row += n;
    }
  }
  bool has_random_access() const override { return whole_rows_ && storage_->filters.empty(); }
  void require_unchanged() const override { file_->require_unchanged(); }
  std::string access_method() const override { return "directly"; }

 private:
  const StoredChunk& chunk_at(int64_t index) const { return storage_->chunks[static_cast<size_t>(index)]; }

  // The end of the rows, from the chunk's first, that are contiguous in the file: one read covers many small
  // chunks.
  int64_t end_of_contiguous(int64_t chunk, int64_t end) const {
    const int64_t rows = storage_->chunk.front();
    if (chunk_at(chunk).address == StoredChunk::unallocated) return (chunk + 1) * rows;
    while ((chunk + 1) * rows < end &&
           chunk_at(chunk + 1).address == chunk_at(chunk).address + chunk_at(chunk).size)
      ++chunk;
    return (chunk + 1) * rows;
  }

  // Reads rows [at, at + n), counted from the first of `chunk`. Chunks hold whole rows, unfiltered.
  void read_unfiltered(int64_t chunk, int64_t at, int64_t n, uint8_t* out) const {
    const StoredChunk& from = chunk_at(chunk);
    const auto bytes = static_cast<uint64_t>(n * row_bytes_);
    if (as_stored_ && from.address != StoredChunk::unallocated) {
      fetch(from.address + static_cast<uint64_t>(at * row_bytes_), bytes, out, chunk);
      return;
    }
    thread_local Bytes stored;
    stored.resize(bytes);
    if (from.address == StoredChunk::unallocated) {
      fill(stored);
    } else {
      fetch(from.address + static_cast<uint64_t>(at * row_bytes_), bytes, stored.data(), chunk);
    }
    convert(storage_->type, stored.data(), n * row_elements_, type_, out);
  }

  // Reads rows [at, at + n) of a group of chunks. Assembles them if a chunk holds parts of rows.
  void read_from_chunks(int64_t group, int64_t at, int64_t n, uint8_t* out) const {
    thread_local Bytes rows, bytes;
    const uint8_t* stored = nullptr;
    if (whole_rows_) {
      load(group, bytes);
      stored = bytes.data() + at * row_bytes_;
    } else {
      rows.resize(static_cast<size_t>(n * row_bytes_));
      for (int64_t i = 0; i < chunks_of_rows_; ++i) {
        load(group * chunks_of_rows_ + i, bytes);
        scatter(bytes.data() + at * chunk_row_bytes(), n, i, rows.data());
      }
      stored = rows.data();
    }
    if (as_stored_) {
      std::memcpy(out, stored, static_cast<size_t>(n * row_bytes_));
    } else {
      convert(storage_->type, stored, n * row_elements_, type_, out);
    }
  }

  int64_t chunk_row_bytes() const {
    return static_cast<int64_t>(storage_->chunk_bytes()) / storage_->chunk.front();
  }

  // A chunk's elements in the file's type, filters decoded.
  void load(int64_t index, Bytes& bytes) const {
    const StoredChunk& from = chunk_at(index);
    if (from.address == StoredChunk::unallocated) {
      bytes.resize(storage_->chunk_bytes());
      fill(bytes);
      return;
    }
    require_in_file(from.address, from.size, index);  // before allocating memory
    bytes.resize(from.size);
    fetch(from.address, from.size, bytes.data(), index);
    try {
      undo_filters(*storage_, from.filter_mask, bytes);
    } catch (const std::runtime_error& reason) {
      fail("{}: the chunk of rows {} cannot be read: {}", name_, rows_of(index), reason.what());
    }
  }

  // Copies the part of n rows that chunk `number` of a group holds to its position in the rows.
  void scatter(const uint8_t* chunk, int64_t n, int64_t number, uint8_t* rows) const {
    const size_t rank = storage_->shape.size();
    std::vector<int64_t> first(rank, 0);  // in the row
    for (size_t d = rank; d-- > 1;) {
      first[d] = number % storage_->chunks_along(d) * storage_->chunk[d];
      number /= storage_->chunks_along(d);
    }
    const std::function<void(size_t, const uint8_t*, uint8_t*, int64_t, int64_t)> copy =
        [&](size_t d, const uint8_t* from, uint8_t* to, int64_t from_stride, int64_t to_stride) {
          // strides: bytes between neighbours along dimension d - 1
          const int64_t size = d == 0 ? n : std::min(storage_->chunk[d], storage_->shape[d] - first[d]);
          const int64_t from_step = d == 0 ? from_stride : from_stride / storage_->chunk[d];
          const int64_t to_step = d == 0 ? to_stride : to_stride / storage_->shape[d];
          to += d == 0 ? 0 : first[d] * to_step;
          if (d + 1 == rank) {
            std::memcpy(to, from, static_cast<size_t>(size * from_step));
            return;
          }
          for (int64_t i = 0; i < size; ++i)
            copy(d + 1, from + i * from_step, to + i * to_step, from_step, to_step);
        };
    copy(0, chunk, rows, chunk_row_bytes(), row_bytes_);
  }

  void fill(Bytes& bytes) const {
    for (size_t i = 0; i < bytes.size(); i += storage_->fill.size())
      std::memcpy(bytes.data() + i, storage_->fill.data(), storage_->fill.size());
  }

  void fetch(uint64_t address, uint64_t size, uint8_t* out, int64_t index) const {
    require_in_file(address, size, index);
    file_->read(address, size, out);
  }

  void require_in_file(uint64_t address, uint64_t size, int64_t index) const {
    if (!file_->holds(address, size))
      fail("{}: the chunk of rows {} is beyond the end of the file: the file is truncated", name_,
           rows_of(index));
  }

  std::string rows_of(int64_t index) const {
    const int64_t first = index / chunks_of_rows_ * storage_->chunk.front();
    return fmt::format("{} to {}", first,
                       std::min(first + storage_->chunk.front(), storage_->shape.front()) - 1);
  }

  std::shared_ptr<const RawFile> file_;
  std::string name_;  // file and dataset
  std::shared_ptr<const Storage> storage_;
  torch::ScalarType type_;
  int64_t item_bytes_;
  bool as_stored_;
  int64_t row_elements_ = 1, row_bytes_ = 0, chunks_of_rows_ = 1;
  bool whole_rows_ = false;  // chunks hold whole rows
};

// A virtual dataset whose sources give whole rows.
class VirtualReader final : public RowReader {
 public:
  VirtualReader(const hdf5::Handle& dataset, std::shared_ptr<const FoundStorage> found,
                torch::ScalarType type)
      : found_(std::move(found)),
        row_bytes_(hdf5::describe(dataset).row_elements() * static_cast<int64_t>(torch::elementSize(type))),
        fill_(hdf5::fill_value(dataset, type)) {
    for (const Source& source : found_->sources)
      parts_.push_back({source.first, source.rows, source.source_first,
                        make_row_reader(hdf5::share(source.dataset), source.found, type)});
    std::ranges::sort(parts_, {}, &Part::first);
  }

  void read(int64_t first, int64_t count, void* out) const override {
    auto* target = static_cast<uint8_t*>(out);
    auto part = std::ranges::upper_bound(parts_, first, {}, &Part::first);
    if (part != parts_.begin() && std::prev(part)->end() > first) --part;
    for (int64_t row = first, n = 0; row < first + count; row += n, target += n * row_bytes_) {
      const bool covered = part != parts_.end() && part->first <= row;
      const int64_t end = covered ? part->end() : part != parts_.end() ? part->first : first + count;
      n = std::min(end, first + count) - row;
      if (!covered) {
        fill(target, n);
        continue;
      }
      part->reader->require_unchanged();
      part->reader->read(part->source_first + row - part->first, n, target);
      ++part;
    }
  }
  bool has_random_access() const override {
    return std::ranges::all_of(parts_, [](const Part& part) { return part.reader->has_random_access(); });
  }
  void require_unchanged() const override { found_->file->require_unchanged(); }
  std::string access_method() const override {
    for (const Part& part : parts_)
      if (std::string method = part.reader->access_method(); method != "directly") return method;
    return "directly";
  }

 private:
  struct Part {
    int64_t first, rows, source_first;
    std::unique_ptr<RowReader> reader;
    int64_t end() const { return first + rows; }
  };

  void fill(uint8_t* out, int64_t rows) const {
    for (int64_t at = 0; at < rows * row_bytes_; at += std::ssize(fill_))
      std::memcpy(out + at, fill_.data(), fill_.size());
  }

  std::shared_ptr<const FoundStorage> found_;
  int64_t row_bytes_;
  std::vector<uint8_t> fill_;  // one element
  std::vector<Part> parts_;    // by their first rows
};

}  // namespace

std::unique_ptr<RowReader> make_row_reader(hdf5::Handle dataset, std::shared_ptr<const FoundStorage> found,
                                           torch::ScalarType type) {
  const auto guard = hdf5::lock();
  if (found->whole_rows) return std::make_unique<VirtualReader>(dataset, std::move(found), type);
  if (!found->storage) return std::make_unique<LibraryReader>(std::move(dataset), type, std::move(found));
  std::string name = hdf5::name_of(dataset.get());
  return std::make_unique<DirectReader>(found->file, std::move(name),
                                        std::shared_ptr<const Storage>(found, &*found->storage), type);
}

}  // namespace elbo
