// Where the splits of a data set lie in its files, and what tells one data set from another.
#pragma once
#include <string>
#include <vector>

#include "elbo/hdf5/data_file.h"
#include "elbo/data/dataset.h"

namespace elbo {

// One split in one of the files: absolute paths of its datasets, "" for those that are not there.
struct SplitPaths {
  const DataFile* file;
  std::string split;  // train, validation or test
  std::string x;      // of sparse rows: the group that holds them
  std::string label, length;
  bool sparse = false;
  std::vector<std::string> datasets() const;  // all that are there
};

// Throws a usage Error, with the names of what the file holds, where it has none.
std::vector<SplitPaths> find_splits(const DataFile& file, const DataOptions& options);

// SHA-256 over names, shapes, types and a sample of rows of all datasets.
std::string fingerprint_of(const std::vector<SplitPaths>& splits);

}  // namespace elbo
