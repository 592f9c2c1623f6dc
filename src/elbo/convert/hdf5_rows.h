// Rows of a dataset of any HDF5 file: axes in the order of the data format, values in their units.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {

struct AxesOptions {
  std::string axes;
  bool transpose = false;
  std::string kind = "auto", type = "auto", missing = "refuse";
  void bind(OptionTable& table);
};

// netCDF's attributes of a dataset: a value is stored · scale + offset, unless it is missing.
struct Packing {
  double scale = 1, offset = 0;
  std::vector<double> missing;           // stored values that mean that there is none
  std::optional<double> least, largest;  // valid stored values
  double unsigned_range = 0;             // hdf5/netcdf.h
  bool packed() const { return scale != 1 || offset != 0; }
  bool any() const { return packed() || !missing.empty() || least || largest || unsigned_range > 0; }
};

class Hdf5Rows {
 public:
  // Throws a usage Error if the dataset does not exist, does not hold numbers, or has other axes than the
  // options name.
  Hdf5Rows(const std::string& path, const std::string& dataset, const AxesOptions& options);
  const std::string& name() const { return name_; }  // "a.h5: /x", for messages
  int64_t rows() const { return rows_; }
  const std::vector<int64_t>& row_shape() const { return row_shape_; }
  const std::string& kind() const { return kind_; }
  torch::ScalarType type() const;  // of the rows that read() returns
  int64_t rows_per_piece() const;  // about 32 MiB, and whole chunks of the file
  // Rows [first, first + count) in the type of the options: (count, row_shape), and the numbers of those that
  // are kept, all but with --missing=drop. Throws a usage Error that names the row for a missing value,
  // unless the options keep or drop it, and for a value that the type cannot hold.
  std::pair<torch::Tensor, std::vector<int64_t>> read(int64_t first, int64_t count) const;

 private:
  void open_reader(const std::string& dataset);
  void find_axes();
  void name_axes(const std::string& letters);
  torch::Tensor read_stored(int64_t first, int64_t count) const;
  torch::Tensor stored(int64_t first, int64_t count) const;
  torch::Tensor unpacked(const torch::Tensor& stored) const;
  torch::Tensor converted(const torch::Tensor& rows, int64_t first) const;

  std::string name_;
  AxesOptions options_;
  DataFile file_;
  hdf5::Handle dataset_;
  hdf5::DatasetInfo info_;
  std::shared_ptr<const RowReader> reader_;          // none: rows are read with the HDF5 library
  torch::ScalarType stored_type_ = torch::kFloat32;  // of tensors that hold all values of the dataset
  Packing packing_;
  std::vector<int64_t> order_;  // for each axis of the rows, that of the file; the first is that of the rows
  std::vector<int64_t> row_shape_;
  std::string kind_;
  int64_t rows_ = 0;
};

}  // namespace elbo
