#include "data/data_file.h"

namespace elbo {

DataFile::DataFile(const std::string& path)
    : handle_(hdf5::open_file(path)), raw_(std::make_shared<RawFile>(path)) {}

std::shared_ptr<const RowReader> DataFile::reader(const std::string& dataset, torch::ScalarType type) const {
  std::shared_ptr<const RowReader>& reader = readers_[{dataset, type}];
  if (!reader) reader = make_row_reader(raw_, hdf5::open_dataset(handle_, dataset), type);
  return reader;
}

hdf5::DatasetInfo DataFile::describe(const std::string& dataset) const {
  return hdf5::describe(hdf5::open_dataset(handle_, dataset));
}

}  // namespace elbo
