#include "elbo/hdf5/data_file.h"

namespace elbo {

DataFile::DataFile(const std::string& path, ComputeOnRoot compute_on_root)
    : path_(path),
      handle_(hdf5::open_file(path)),
      raw_(std::make_shared<RawFile>(handle_)),
      compute_on_root_(std::move(compute_on_root)) {}

std::shared_ptr<const FoundStorage> DataFile::find(const std::string& dataset,
                                                   const hdf5::Handle& handle) const {
  std::shared_ptr<const FoundStorage>& found = storage_[dataset];
  if (!found) {
    const auto file = hdf5::same_file(handle, handle_) ? raw_ : std::make_shared<const RawFile>(handle);
    found = std::make_shared<FoundStorage>(find_storage(file, handle, compute_on_root_));
  }
  return found;
}

std::shared_ptr<const RowReader> DataFile::reader(const std::string& dataset, torch::ScalarType type) const {
  hdf5::Handle handle = hdf5::open_dataset(handle_, dataset);
  std::shared_ptr<const FoundStorage> found = find(dataset, handle);
  return make_row_reader(std::move(handle), std::move(found), type);
}

std::vector<std::string> DataFile::unwritten_rows(const std::string& dataset) const {
  return find(dataset, hdf5::open_dataset(handle_, dataset))->unwritten;
}

std::vector<std::string> DataFile::unwritten_rows() const {
  std::vector<std::string> all;
  for (const auto& [dataset, found] : storage_)
    if (found) all.insert(all.end(), found->unwritten.begin(), found->unwritten.end());
  return all;
}

hdf5::DatasetInfo DataFile::describe(const std::string& dataset) const {
  return hdf5::describe(hdf5::open_dataset(handle_, dataset));
}

}  // namespace elbo
