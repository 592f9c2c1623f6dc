// Where the rows of one file belong: their split, their numbers in it, and their names.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "elbo/data/row_source.h"
#include "elbo/hdf5/data_file.h"

namespace elbo {

// A dataset of texts, one for each row, read when the first one is asked for. Thread-safe.
class RowNames {
 public:
  // file: must outlive the object.
  RowNames(const DataFile& file, std::string path) : file_(file), path_(std::move(path)) {}
  const std::string& at(int64_t row) const;

 private:
  const DataFile& file_;
  std::string path_;
  mutable std::once_flag once_;
  mutable std::vector<std::string> names_;
};

struct StoredRows {
  std::string split;
  int64_t first_row = 0;                    // rows of the split in the files before
  std::shared_ptr<const RowNames> names{};  // or null
  RowIdentity identity(int64_t id) const {
    return {.split = split, .row = first_row + id, .name = names ? names->at(id) : ""};
  }
};

}  // namespace elbo
