// Finds the splits of a data set in its files, and computes its fingerprint.
#pragma once
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/data/row_view.h"
#include "elbo/data/sparse_rows.h"
#include "elbo/hdf5/data_file.h"

namespace elbo {

// A split in one file: absolute paths of its datasets, "" for those that do not exist.
struct SplitPaths {
  const DataFile* file = nullptr;
  std::string split;  // train, validation or test
  std::string x;      // for sparse rows: their group
  std::string label;  // a dataset, or a group of codes and categories (AnnData)
  std::string length{};
  std::string names{};  // texts, one for each row
  SparsePaths sparse{};
  bool of_cells = false;  // AnnData or Loom: genes in cells
  bool reversed = false;  // dimensions of x are in reverse (row_view.h)
  std::string axes{};     // of images (row_view.h)
  bool is_sparse() const { return !sparse.offsets.empty(); }
  RowView view() const { return {.path = x, .reversed = reversed, .axes = axes}; }
};

// The splits in a file. Throws a usage Error that lists the file's contents if there are none. notes: what
// was taken as meant, a sentence each, is added.
std::vector<SplitPaths> find_splits(const DataFile& file, const DataOptions& options,
                                    std::vector<std::string>& notes);

// SHA-256 of the names, shapes, types and a sample of rows of all datasets.
std::string fingerprint_of(const std::vector<SplitPaths>& splits);

}  // namespace elbo
