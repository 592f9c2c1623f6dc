// Rows of which most elements are zero, stored as those that are not (compressed sparse rows): interactions
// of users with items. Read as they are stored; they become dense in the microbatch.
#pragma once
#include <memory>
#include <string>

#include "elbo/data/chunk_cache.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/data/dataset.h"

namespace elbo {

// Whether a split's group holds such rows: `indices` and `offsets`.
bool holds_sparse_rows(const DataFile& file, const std::string& group);

class SparseRows final : public RowSource {
 public:
  // group: holds `offsets` (N+1), where each row begins in `indices` (column numbers) and, where they are not
  // all 1, `values`. features: columns, or 0 for as many as the group's attribute `features` or its largest
  // index tells. number: of the file among those of the split, whose cache is `cache`. Throws a usage Error
  // for offsets that do not rise or do not fit the indices.
  SparseRows(const DataFile& file, const std::string& group, int64_t features,
             std::shared_ptr<ChunkCache> cache, int64_t number);
  int64_t rows() const override { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t rows_per_chunk() const override;
  int64_t bytes_per_row() const override;  // as they are kept: the mean
  int64_t features() const { return features_; }
  Batch read(const std::vector<int64_t>& ids) const override;
  void read_all() const override;
  int64_t chunk_bytes() const;  // what a chunk takes at most in memory
  std::string access_method() const override { return indices_->access_method(); }

 private:
  int64_t entries() const { return offsets_.back(); }
  Chunk load(int64_t piece) const;
  int64_t largest_index() const;

  std::shared_ptr<const RawFile> raw_;
  std::string where_;  // file and group, for messages
  std::shared_ptr<const RowReader> indices_, values_;
  std::vector<int64_t> offsets_;
  int64_t features_;
  std::shared_ptr<ChunkCache> cache_;
  int64_t number_;
};

}  // namespace elbo
