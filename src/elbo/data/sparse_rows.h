// Rows in compressed sparse row format (CSR), e.g. interactions of users with items. They are cached sparse,
// and a batch is dense.
#pragma once
#include <torch/types.h>

#include <memory>
#include <string>

#include "elbo/data/check_values.h"
#include "elbo/data/chunk_cache.h"
#include "elbo/data/labels.h"
#include "elbo/data/row_source.h"
#include "elbo/data/stored_rows.h"
#include "elbo/hdf5/data_file.h"

namespace elbo {

// The datasets of sparse rows, by their absolute paths.
struct SparsePaths {
  std::string offsets, indices;  // (N + 1) starts of rows; (entries) column numbers
  std::string values{};          // (entries); "": 1 everywhere
  int64_t columns = 0;           // 0: not known
  bool is_counts = false;        // of single cells (AnnData, 10x), not interactions
};

// Whether a group has the datasets `indices` and `offsets`, or, as SciPy, AnnData and 10x name them,
// `indices` and `indptr`.
bool holds_sparse_rows(const DataFile& file, const std::string& group);

// Whether the group is a sparse matrix of MATLAB, which is stored by columns.
bool is_sparse_of_matlab(const DataFile& file, const std::string& group);

// Of such a group. Throws a usage Error if there are none, and for a matrix stored by columns (CSC).
SparsePaths sparse_paths(const DataFile& file, const std::string& group);

class SparseRows final : public RowSource {
 public:
  // paths: where they are stored. features: the number of columns; 0: paths.columns, or else from the largest
  // index. number: the index of the file in the split. cache: that of the split. Throws
  // a usage Error if the offsets decrease or exceed the number of indices.
  SparseRows(const DataFile& file, const SparsePaths& paths, int64_t features,
             std::shared_ptr<ChunkCache> cache, int64_t number, StoredRows stored = {},
             const Labels& labels = {});
  int64_t rows() const override { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t rows_per_chunk() const override;
  int64_t bytes_per_row() const override;  // the mean, in the cache
  int64_t features() const { return features_; }
  Batch read(const std::vector<int64_t>& ids) const override;
  void read_all() const override;
  int64_t chunk_bytes() const;  // the largest size of a chunk in memory
  std::string access_method() const override { return indices_->access_method(); }
  std::string place_of(int64_t id) const override;
  RowIdentity identity(int64_t id) const override { return stored_.identity(id); }

 private:
  int64_t entries() const { return offsets_.back(); }
  Chunk load(int64_t chunk_index) const;
  int64_t row_of(int64_t entry) const;
  int64_t largest_index() const;
  // Throws a usage Error for a column number below 0 or from `columns` on. first: the place of index[0].
  void require_columns(const int64_t* index, int64_t first, int64_t count, int64_t columns) const;

  std::string path_;
  SparsePaths paths_;
  std::shared_ptr<const RowReader> indices_, values_;
  std::vector<int64_t> offsets_;
  int64_t features_;
  std::shared_ptr<ChunkCache> cache_;
  int64_t number_;
  torch::Tensor labels_;  // of all rows, or undefined
  StoredRows stored_;
};

}  // namespace elbo
