// Rows in compressed sparse row format (CSR), e.g. interactions of users with items. They are cached sparse,
// and a batch is dense.
#pragma once
#include <memory>
#include <string>

#include "elbo/data/check_values.h"
#include "elbo/data/chunk_cache.h"
#include "elbo/data/row_source.h"
#include "elbo/hdf5/data_file.h"

namespace elbo {

// Whether a split's group has the datasets `indices` and `offsets`.
bool holds_sparse_rows(const DataFile& file, const std::string& group);

class SparseRows final : public RowSource {
 public:
  // group: has `offsets` (N + 1), the start of each row in `indices` (column numbers) and in `values`
  // (optional; default 1). features: the number of columns; 0: from the group's attribute `features`, or else
  // from the largest index. number: the index of the file in the split. cache: that of the split. rule: of
  // the values. Throws a usage Error if the offsets decrease or exceed the number of indices.
  SparseRows(const DataFile& file, const std::string& group, int64_t features,
             std::shared_ptr<ChunkCache> cache, int64_t number, ValueRule rule);
  int64_t rows() const override { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t rows_per_chunk() const override;
  int64_t bytes_per_row() const override;  // the mean, in the cache
  int64_t features() const { return features_; }
  Batch read(const std::vector<int64_t>& ids) const override;
  void read_all() const override;
  int64_t chunk_bytes() const;  // the largest size of a chunk in memory
  std::string access_method() const override { return indices_->access_method(); }
  std::string place_of(int64_t id) const override;

 private:
  int64_t entries() const { return offsets_.back(); }
  Chunk load(int64_t chunk_index) const;
  int64_t row_of(int64_t entry) const;
  int64_t largest_index() const;

  std::string path_;
  std::string group_;
  std::shared_ptr<const RowReader> indices_, values_;
  std::vector<int64_t> offsets_;
  int64_t features_;
  std::shared_ptr<ChunkCache> cache_;
  int64_t number_;
  ValueRule rule_;
};

}  // namespace elbo
