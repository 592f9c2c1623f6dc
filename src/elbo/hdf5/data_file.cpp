#include "elbo/hdf5/data_file.h"

namespace elbo {

DataFile::DataFile(const std::string& path, ComputeOnRoot compute_on_root)
    : handle_(hdf5::open_file(path)),
      raw_(std::make_shared<RawFile>(path)),
      compute_on_root_(std::move(compute_on_root)) {}

std::shared_ptr<const RowReader> DataFile::reader(const std::string& dataset, torch::ScalarType type) const {
  hdf5::Handle handle = hdf5::open_dataset(handle_, dataset);
  std::shared_ptr<const FoundStorage>& found = storage_[dataset];
  if (!found) found = std::make_shared<FoundStorage>(find_storage(*raw_, handle, compute_on_root_));
  return make_row_reader(raw_, std::move(handle), found, type);
}

hdf5::DatasetInfo DataFile::describe(const std::string& dataset) const {
  return hdf5::describe(hdf5::open_dataset(handle_, dataset));
}

}  // namespace elbo
