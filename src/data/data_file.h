// One opened file of a data set.
#pragma once
#include <memory>
#include <string>

#include "base/error.h"
#include "data/hdf5.h"
#include "data/raw_file.h"
#include "data/row_reader.h"

namespace elbo {

struct DataFile {
  std::string path;
  hdf5::Handle handle;
  std::shared_ptr<const RawFile> raw;

  explicit DataFile(const std::string& name)
      : path(name), handle(hdf5::open_file(name)), raw(std::make_shared<RawFile>(name)) {}
  std::unique_ptr<RowReader> reader(const std::string& dataset, torch::ScalarType type) const {
    return make_row_reader(raw, hdf5::open_dataset(handle, dataset), type);
  }
  [[noreturn]] void refuse(const std::string& what) const { usage_error("{}: {}", path, what); }
};

}  // namespace elbo
