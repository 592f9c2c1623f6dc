// An open file of a data set.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "elbo/base/error.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/raw_file.h"
#include "elbo/hdf5/row_reader.h"

namespace elbo {

// Call its functions with hdf5::lock() held. The readers that it returns need no lock.
class DataFile {
 public:
  // compute_on_root: for processes that open the file together; all of them read the same datasets in the
  // same order.
  explicit DataFile(const std::string& path, ComputeOnRoot compute_on_root = compute_locally);
  const std::string& path() const { return path_; }
  const hdf5::Handle& handle() const { return handle_; }

  std::shared_ptr<const RowReader> reader(const std::string& dataset, torch::ScalarType type) const;
  // Sentences about rows that were never written: of a dataset, or of all that readers were made of.
  std::vector<std::string> unwritten_rows(const std::string& dataset) const;
  std::vector<std::string> unwritten_rows() const;
  hdf5::DatasetInfo describe(const std::string& dataset) const;
  // Throws a usage Error: the file's name followed by `what`.
  [[noreturn]] void reject(const std::string& what) const { usage_error("{}: {}", path(), what); }

 private:
  std::shared_ptr<const FoundStorage> find(const std::string& dataset, const hdf5::Handle& handle) const;

  std::string path_;
  hdf5::Handle handle_;
  std::shared_ptr<const RawFile> raw_;  // this file; a link may lead to a dataset in another one
  ComputeOnRoot compute_on_root_;
  mutable std::map<std::string, std::shared_ptr<const FoundStorage>>
      storage_;  // cached, because reading an index is slow
};

}  // namespace elbo
