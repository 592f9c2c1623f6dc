// Rows of datasets that do not store them as training wants them: tables of compound types, dimensions in
// reverse (MATLAB), images and volumes with their channels last. Each is a RowReader over what is stored.
#pragma once
#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/row_reader.h"

namespace elbo {

// How the rows of a dataset are taken.
struct RowView {
  std::string path;
  bool reversed = false;  // the dimensions are stored in reverse: rows are the last one
  // Of images and volumes, the meaning of the dimensions after that, of image_axes(); "": as they are.
  std::string axes{};
};

// The orders of dimensions that images and volumes (with D for the depth) may be stored in.
std::vector<std::string> image_axes();
bool are_of_volumes(const std::string& axes);
// Whether its elements are records or arrays, each of which is a row.
bool is_table(const hdf5::DatasetInfo& info);

// The dataset as the view shows it: (rows, …). A table of a compound type has a column for each number of its
// numeric fields, as float32. Throws a usage Error for a table without any.
hdf5::DatasetInfo describe_rows(const DataFile& file, const RowView& view);

// Reads what describe_rows() describes. Rows of reversed dimensions and of tables are read through the HDF5
// library.
std::shared_ptr<const RowReader> open_rows(const DataFile& file, const RowView& view, torch::ScalarType type);

// Names of the fields of a compound type that are not numbers and are left out; of a frame of pandas, which
// has a dataset (a block) for the columns of each type, names of the blocks.
std::vector<std::string> fields_left_out(const DataFile& file, const std::string& path);

// Names of the columns of a table of a compound type (fields inside of fields as outer.inner, elements of
// arrays as name_0, …) or of a block of pandas; empty for other datasets.
std::vector<std::string> names_of_columns(const DataFile& file, const std::string& path);

// Whether it is in a group that pandas wrote, and whether its name is that of a block there.
bool is_in_pandas_group(const DataFile& file, const std::string& path);
bool is_block_of_pandas(const std::string& path);
// Whether pandas wrote dates or durations in it, as integers.
bool holds_dates(const DataFile& file, const std::string& path);

// Whether MATLAB wrote the dataset.
bool is_of_matlab(const DataFile& file, const std::string& path);
// Whether it is a matrix of genes and cells of Loom: its last dimension counts the cells.
bool is_of_loom(const DataFile& file, const std::string& path);

}  // namespace elbo
