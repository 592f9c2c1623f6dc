// The rows of one split as they lie in a file: a dataset of x and, where there is one, of labels.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/hdf5.h"

namespace elbo {

struct StoredSplitOptions {
  std::string file;                // for messages
  std::string x, label;            // absolute paths in the file; label "": none
  std::vector<int64_t> row_shape;  // of x, as models see it
  bool in_unit_interval = false;   // x must be in [0, 1] once scaled
  int64_t classes = 0;             // labels are 0 … classes-1
  int64_t cache_bytes = 0;         // of chunks kept in memory
};

class StoredSplit final : public RowSource {
 public:
  StoredSplit(const hdf5::Handle& file, StoredSplitOptions options);
  int64_t rows() const override { return rows_; }
  int64_t rows_per_chunk() const override { return rows_per_chunk_; }
  int64_t bytes_per_row() const override { return features_ * item_bytes_; }
  Batch read(const std::vector<int64_t>& ids) const override;

 private:
  // Consecutive rows, decompressed: bytes as such, all other numbers as float32.
  struct Chunk {
    torch::Tensor x, label;  // (rows, features), (rows) or (rows, k)
  };
  using ChunkPointer = std::shared_ptr<const Chunk>;

  ChunkPointer chunk(int64_t index) const;
  ChunkPointer find(int64_t index) const;
  ChunkPointer load(int64_t index) const;
  void keep(int64_t index, ChunkPointer loaded) const;
  void check_x(const torch::Tensor& x, int64_t first_row) const;
  void check_label(const torch::Tensor& label, int64_t first_row) const;

  StoredSplitOptions options_;
  hdf5::Handle x_, label_;
  int64_t rows_ = 0, rows_per_chunk_ = 1, features_ = 1, item_bytes_ = 4;
  bool bytes_ = false, integer_labels_ = false;

  mutable std::mutex mutex_;  // of what follows
  struct Slot {
    ChunkPointer chunk;
    uint64_t last_use = 0;
  };
  mutable std::vector<Slot> slots_;  // one a chunk, empty where it is not in memory
  mutable int64_t kept_bytes_ = 0;
  mutable uint64_t clock_ = 0;
};

}  // namespace elbo
