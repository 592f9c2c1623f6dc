// The rows of a split that are stored in one file: a dataset of x and optional datasets of labels and
// lengths.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "elbo/data/check_values.h"
#include "elbo/data/chunk_cache.h"
#include "elbo/data/labels.h"
#include "elbo/data/packed_values.h"
#include "elbo/data/row_source.h"
#include "elbo/data/row_view.h"
#include "elbo/data/stored_rows.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/row_reader.h"

namespace elbo {

struct StoredSplitOptions {
  RowView x;                       // in the file
  Labels labels{};                 // without a reader: none
  std::vector<int64_t> row_shape;  // of x, in a batch
  int64_t tokens = 0;              // x holds 0 … tokens-1; 0: x does not hold tokens
  int64_t labels_bytes = 0;        // labels up to this size are kept in memory
  std::string length{};            // absolute path of the rows' lengths; "": all are valid to the end
  bool has_length = false;         // batches have a length, also where `length` is ""
  bool masks_missing = false;      // batches have a mask of observed elements; else missing ones are refused
  std::vector<float> missing_values{};  // of data.missing_value
  int64_t number = 0;                   // index of the file in the split
  StoredRows stored{};
};

class StoredSplit final : public RowSource {
 public:
  // cache: shared by all files of the split.
  StoredSplit(const DataFile& file, std::shared_ptr<ChunkCache> cache, StoredSplitOptions options);
  int64_t rows() const override { return rows_; }
  int64_t rows_per_chunk() const override { return rows_per_chunk_; }
  int64_t bytes_per_row() const override { return features_ * item_bytes_; }
  Batch read(const std::vector<int64_t>& ids) const override;
  void read_all() const override;
  std::string access_method() const override { return x_->access_method(); }
  std::string place_of(int64_t id) const override;
  RowIdentity identity(int64_t id) const override { return options_.stored.identity(id); }
  // The largest size of a chunk in memory; 0 if single rows are read.
  int64_t chunk_bytes() const;

 private:
  torch::ScalarType stored_type() const { return bytes_ ? torch::kUInt8 : torch::kFloat32; }
  int64_t label_bytes() const;  // of a row
  void open_lengths(const DataFile& file);
  void read_single_row(int64_t row, float* out) const;
  torch::Tensor read_labels(int64_t first, int64_t count) const;
  ChunkCache::Pointer chunk(int64_t index) const;
  Chunk load(int64_t index) const;
  void require_observed(const Batch& batch) const;
  void mask_missing(Batch& batch) const;
  void check_tokens(const Batch& batch) const;

  StoredSplitOptions options_;
  std::string path_;  // of the file, for messages
  std::shared_ptr<ChunkCache> cache_;
  std::shared_ptr<const RowReader> x_;
  int64_t rows_ = 0, rows_per_chunk_ = 1, chunks_ = 1, features_ = 1, item_bytes_ = 4;
  bool bytes_ = false;
  PackedValues packed_;

  // Single rows are read directly into the batch, without the cache: the page cache keeps one copy for all
  // ranks of a host.
  bool random_access_ = false;
  torch::Tensor lengths_;  // (rows) int64; undefined without padding
  torch::Tensor labels_;   // of all rows; defined with random access, and if they are small
};

}  // namespace elbo
