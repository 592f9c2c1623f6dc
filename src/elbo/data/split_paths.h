// Finds the splits of a data set in its files, and computes its fingerprint.
#pragma once
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/hdf5/data_file.h"

namespace elbo {

// A split in one file: absolute paths of its datasets, "" for those that do not exist.
struct SplitPaths {
  const DataFile* file;
  std::string split;  // train, validation or test
  std::string x;      // for sparse rows: their group
  std::string label, length;
  bool sparse = false;
  std::vector<std::string> datasets() const;  // all that exist
};

// The splits in a file. Throws a usage Error that lists the file's contents if there are none.
std::vector<SplitPaths> find_splits(const DataFile& file, const DataOptions& options);

// SHA-256 of the names, shapes, types and a sample of rows of all datasets.
std::string fingerprint_of(const std::vector<SplitPaths>& splits);

}  // namespace elbo
