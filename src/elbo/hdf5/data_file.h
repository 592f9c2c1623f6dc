// One opened file of a data set.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "elbo/base/error.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/raw_file.h"
#include "elbo/hdf5/row_reader.h"

namespace elbo {

// To be used under hdf5::lock(); the readers that it gives need no lock.
class DataFile {
 public:
  // once: where several processes open the file together, all for the same datasets in the same order.
  explicit DataFile(const std::string& path, ComputeOnRoot once = compute_locally);
  const std::string& path() const { return raw_->path(); }
  const hdf5::Handle& handle() const { return handle_; }
  const std::shared_ptr<const RawFile>& raw() const { return raw_; }

  std::shared_ptr<const RowReader> reader(const std::string& dataset, torch::ScalarType type) const;
  hdf5::DatasetInfo describe(const std::string& dataset) const;
  // Throws a usage Error that names the file.
  [[noreturn]] void refuse(const std::string& what) const { usage_error("{}: {}", path(), what); }

 private:
  hdf5::Handle handle_;
  std::shared_ptr<const RawFile> raw_;
  ComputeOnRoot once_;
  mutable std::map<std::string, std::shared_ptr<const FoundStorage>> found_;  // an index takes long to read
};

}  // namespace elbo
