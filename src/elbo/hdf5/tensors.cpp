#include <torch/types.h>

#include <algorithm>

#include "elbo/hdf5/check.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo::hdf5 {
namespace {

torch::ScalarType tensor_type(const DatasetInfo& info, hid_t dataset) {
  if (info.type_class == H5T_FLOAT) return info.type_size <= 4 ? torch::kFloat32 : torch::kFloat64;
  if (info.type_class != H5T_INTEGER)
    fail("{}: holds {}; expected numbers", name_of(dataset), info.type_name);
  if (info.type_size == 1 && !info.is_signed) return torch::kUInt8;
  return info.type_size == 4 && info.is_signed ? torch::kInt32 : torch::kInt64;
}

std::vector<hsize_t> sizes_of(at::IntArrayRef shape) { return {shape.begin(), shape.end()}; }

Handle make_space(at::IntArrayRef shape, const Handle& location) {
  const std::vector<hsize_t> sizes = sizes_of(shape);
  const hid_t space = sizes.empty() ? H5Screate(H5S_SCALAR)
                                    : H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr);
  return checked(space, H5Sclose, location.get(), "create a dataspace");
}

Handle make_layout(at::IntArrayRef row, int64_t chunk_rows, unsigned deflate, const Handle& location) {
  Handle layout =
      checked(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, location.get(), "create dataset creation properties");
  // Without the time of day, equal contents are equal bytes.
  check(H5Pset_obj_track_times(layout.get(), false), location.get(), "set dataset creation properties");
  if (chunk_rows == 0) return layout;
  std::vector<hsize_t> chunk{static_cast<hsize_t>(chunk_rows)};
  chunk.insert(chunk.end(), row.begin(), row.end());
  check(H5Pset_chunk(layout.get(), static_cast<int>(chunk.size()), chunk.data()), location.get(),
        "set the chunk shape");
  if (deflate > 0) {
    check(H5Pset_shuffle(layout.get()), location.get(), "set the shuffle filter");
    check(H5Pset_deflate(layout.get(), deflate), location.get(), "set the deflate filter");
  }
  return layout;
}

Handle make_dataset(const Handle& location, const std::string& path, torch::ScalarType type,
                    const Handle& space, const Handle& layout) {
  const Handle parents(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  check(H5Pset_create_intermediate_group(parents.get(), 1), location.get(), "set link creation properties");
  return made_in(location,
                 H5Dcreate2(location.get(), path.c_str(), memory_type(type), space.get(), parents.get(),
                            layout.get(), H5P_DEFAULT),
                 H5Dclose, "create a dataset");
}

// Selects rows [first, first + count) of the file's `space`; returns the memory space for them.
Handle select_rows(const Handle& dataset, const Handle& space, int64_t first, int64_t count) {
  std::vector<hsize_t> extent(static_cast<size_t>(std::max(0, H5Sget_simple_extent_ndims(space.get()))));
  if (extent.empty()) fail("{}: is a scalar; expected rows", name_of(dataset.get()));
  H5Sget_simple_extent_dims(space.get(), extent.data(), nullptr);
  std::vector<hsize_t> start(extent.size(), 0);
  start.front() = static_cast<hsize_t>(first);
  extent.front() = static_cast<hsize_t>(count);
  check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr),
        dataset.get(), "select rows");
  return checked(H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose,
                 dataset.get(), "create a dataspace");
}

}  // namespace

hid_t memory_type(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return H5T_NATIVE_FLOAT;
    case torch::kFloat64:
      return H5T_NATIVE_DOUBLE;
    case torch::kInt64:
      return H5T_NATIVE_INT64;
    case torch::kInt32:
      return H5T_NATIVE_INT32;
    case torch::kInt16:
      return H5T_NATIVE_INT16;
    case torch::kInt8:
      return H5T_NATIVE_INT8;
    case torch::kUInt8:
      return H5T_NATIVE_UINT8;
    default:
      fail("{} tensors cannot be stored in HDF5 files", torch::toString(type));
  }
}

std::vector<uint8_t> fill_value(const Handle& dataset, torch::ScalarType type) {
  const auto guard = lock();
  std::vector<uint8_t> fill(torch::elementSize(type), 0);
  const Handle properties =
      checked(H5Dget_create_plist(dataset.get()), H5Pclose, dataset.get(), "read its properties");
  H5D_fill_value_t state = H5D_FILL_VALUE_UNDEFINED;
  check(H5Pfill_value_defined(properties.get(), &state), dataset.get(), "query its fill value");
  if (state != H5D_FILL_VALUE_UNDEFINED)
    check(H5Pget_fill_value(properties.get(), memory_type(type), fill.data()), dataset.get(),
          "read its fill value");
  return fill;
}

void read_rows(const Handle& dataset, int64_t first, int64_t count, hid_t memory_type, void* out) {
  const auto guard = lock();
  const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
  const Handle memory = select_rows(dataset, space, first, count);
  if (H5Dread(dataset.get(), memory_type, memory.get(), space.get(), H5P_DEFAULT, out) < 0)
    fail("{}: rows {} to {} cannot be read: {}", name_of(dataset.get()), first, first + count - 1,
         last_reason());
}

torch::Tensor read_tensor(const Handle& dataset) {
  const auto guard = lock();
  const DatasetInfo info = describe(dataset);
  torch::Tensor tensor = torch::empty(info.shape, tensor_type(info, dataset.get()));
  check(H5Dread(dataset.get(), memory_type(tensor.scalar_type()), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                tensor.mutable_data_ptr()),
        dataset.get(), "read it");
  return tensor;
}

Handle write_tensor(const Handle& location, const std::string& path, const torch::Tensor& tensor,
                    int64_t chunk_rows, unsigned deflate) {
  const auto guard = lock();
  const at::IntArrayRef row = tensor.dim() > 0 ? tensor.sizes().slice(1) : at::IntArrayRef{};
  const Handle layout = make_layout(row, chunk_rows, deflate, location);
  Handle dataset =
      make_dataset(location, path, tensor.scalar_type(), make_space(tensor.sizes(), location), layout);
  check(H5Dwrite(dataset.get(), memory_type(tensor.scalar_type()), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                 tensor.const_data_ptr()),
        dataset.get(), "write it");
  return dataset;
}

Handle create_rows(const Handle& location, const std::string& path, const std::vector<int64_t>& row_shape,
                   torch::ScalarType type, int64_t chunk_rows, unsigned deflate) {
  const auto guard = lock();
  std::vector<hsize_t> now{0}, limit{H5S_UNLIMITED};
  now.insert(now.end(), row_shape.begin(), row_shape.end());
  limit.insert(limit.end(), row_shape.begin(), row_shape.end());
  const Handle space = checked(H5Screate_simple(static_cast<int>(now.size()), now.data(), limit.data()),
                               H5Sclose, location.get(), "create a dataspace");
  return make_dataset(location, path, type, space, make_layout(row_shape, chunk_rows, deflate, location));
}

Handle create_dataset(const Handle& location, const std::string& path, const std::vector<int64_t>& shape,
                      torch::ScalarType type) {
  const auto guard = lock();
  const Handle space = make_space(shape, location);
  return make_dataset(location, path, type, space, make_layout({}, 0, 0, location));
}

void write_rows(const Handle& dataset, int64_t first, const torch::Tensor& rows) {
  const auto guard = lock();
  const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
  const bool is_scalar = rows.dim() == 0;
  const Handle memory = is_scalar ? Handle() : select_rows(dataset, space, first, rows.size(0));
  check(H5Dwrite(dataset.get(), memory_type(rows.scalar_type()), is_scalar ? H5S_ALL : memory.get(),
                 is_scalar ? H5S_ALL : space.get(), H5P_DEFAULT, rows.const_data_ptr()),
        dataset.get(), "write rows");
}

void append(const Handle& dataset, const torch::Tensor& rows) {
  const auto guard = lock();
  const int64_t before = describe(dataset).shape.front();
  std::vector<hsize_t> size = sizes_of(rows.sizes());
  size.front() += static_cast<hsize_t>(before);
  check(H5Dset_extent(dataset.get(), size.data()), dataset.get(), "extend it");
  write_rows(dataset, before, rows);
}

}  // namespace elbo::hdf5
