#include "elbo/data/row_view.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/raw_file.h"

namespace elbo {
namespace {

// A field of a compound type that is numbers: one, or an array of them.
struct Field {
  std::string name;
  int64_t columns = 1;
  std::vector<hsize_t> shape;  // of an array
};

struct Fields {
  std::vector<Field> numbers;
  std::vector<std::string> others;
  int64_t columns() const {
    return std::accumulate(numbers.begin(), numbers.end(), int64_t{0},
                           [](int64_t sum, const Field& field) { return sum + field.columns; });
  }
};

bool is_number(hid_t type) {
  const H5T_class_t kind = H5Tget_class(type);
  return kind == H5T_INTEGER || kind == H5T_FLOAT || kind == H5T_ENUM;
}

Field describe_field(hid_t table, unsigned number) {
  char* const stored = H5Tget_member_name(table, number);
  Field field{.name = stored == nullptr ? "" : stored, .columns = 1, .shape = {}};
  H5free_memory(stored);
  const hdf5::Handle type(H5Tget_member_type(table, number), H5Tclose);
  if (H5Tget_class(type.get()) == H5T_ARRAY) {
    field.shape.resize(static_cast<size_t>(std::max(0, H5Tget_array_ndims(type.get()))));
    H5Tget_array_dims2(type.get(), field.shape.data());
    for (const hsize_t size : field.shape) field.columns *= static_cast<int64_t>(size);
    const hdf5::Handle element(H5Tget_super(type.get()), H5Tclose);
    if (!is_number(element.get())) field.columns = 0;
  } else if (!is_number(type.get())) {
    field.columns = 0;
  }
  return field;
}

// pandas keeps the index of its rows beside the columns.
bool is_index(const DataFile& file, const std::string& path, const std::string& field) {
  const std::string group = path.substr(0, path.rfind('/'));
  return field == "index" && !group.empty() &&
         hdf5::read_text_attribute(hdf5::open_group(file.handle(), group), "pandas_type").has_value();
}

Fields fields_of(const DataFile& file, const std::string& path, const hdf5::Handle& dataset) {
  const hdf5::Handle type(H5Dget_type(dataset.get()), H5Tclose);
  Fields fields;
  for (int i = 0; i < H5Tget_nmembers(type.get()); ++i) {
    Field field = describe_field(type.get(), static_cast<unsigned>(i));
    if (is_index(file, path, field.name)) continue;
    if (field.columns > 0) {
      fields.numbers.push_back(std::move(field));
    } else {
      fields.others.push_back(std::move(field.name));
    }
  }
  return fields;
}

// The numeric fields of a table, one after another, as float32.
hdf5::Handle type_in_memory(const Fields& fields) {
  hdf5::Handle type(H5Tcreate(H5T_COMPOUND, static_cast<size_t>(fields.columns()) * sizeof(float)), H5Tclose);
  size_t offset = 0;
  for (const Field& field : fields.numbers) {
    const hdf5::Handle array(
        field.shape.empty() ? H5Tcopy(H5T_NATIVE_FLOAT)
                            : H5Tarray_create2(H5T_NATIVE_FLOAT, static_cast<unsigned>(field.shape.size()),
                                               field.shape.data()),
        H5Tclose);
    if (H5Tinsert(type.get(), field.name.c_str(), offset, array.get()) < 0)
      fail("the field {} of a table cannot be read: {}", field.name, hdf5::last_reason());
    offset += static_cast<size_t>(field.columns) * sizeof(float);
  }
  return type;
}

class TableReader final : public RowReader {
 public:
  TableReader(hdf5::Handle dataset, const Fields& fields)
      : dataset_(std::move(dataset)), file_(dataset_), type_(type_in_memory(fields)) {}
  void read(int64_t first, int64_t count, void* out) const override {
    hdf5::read_rows(dataset_, first, count, type_.get(), out);
  }
  bool has_random_access() const override { return false; }
  std::string access_method() const override {
    return "through the HDF5 library, because it is a table of a compound type";
  }
  void require_unchanged() const override { file_.require_unchanged(); }

 private:
  hdf5::Handle dataset_;
  RawFile file_;
  hdf5::Handle type_;
};

// Dimensions from the last to the first.
class ReversedReader final : public RowReader {
 public:
  ReversedReader(hdf5::Handle dataset, torch::ScalarType type)
      : dataset_(std::move(dataset)), file_(dataset_), shape_(hdf5::describe(dataset_).shape), type_(type) {}

  void read(int64_t first, int64_t count, void* out) const override {
    std::vector<int64_t> stored = shape_, order(shape_.size());
    stored.back() = count;
    std::iota(order.rbegin(), order.rend(), 0);
    torch::Tensor part = torch::empty(stored, type_);
    read_part(first, part);
    const torch::Tensor rows = part.permute(order).contiguous();
    std::memcpy(out, rows.const_data_ptr(), rows.nbytes());
  }
  bool has_random_access() const override { return false; }
  std::string access_method() const override {
    return "through the HDF5 library, because its dimensions are in reverse";
  }
  void require_unchanged() const override { file_.require_unchanged(); }

 private:
  void read_part(int64_t first, torch::Tensor& part) const {
    const auto guard = hdf5::lock();
    std::array<hsize_t, H5S_MAX_RANK> count{}, start{};
    std::ranges::copy(part.sizes(), count.begin());
    start[shape_.size() - 1] = static_cast<hsize_t>(first);
    const hdf5::Handle space(H5Dget_space(dataset_.get()), H5Sclose);
    hdf5::check(
        H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
        dataset_.get(), "select rows");
    const hdf5::Handle memory(H5Screate_simple(static_cast<int>(shape_.size()), count.data(), nullptr),
                              H5Sclose);
    hdf5::check(H5Dread(dataset_.get(), hdf5::memory_type(type_), memory.get(), space.get(), H5P_DEFAULT,
                        part.mutable_data_ptr()),
                dataset_.get(), "read its rows");
  }

  hdf5::Handle dataset_;
  RawFile file_;
  std::vector<int64_t> shape_;
  torch::ScalarType type_;
};

// Images and volumes in the order (channels, depth, height, width).
class PermutedReader final : public RowReader {
 public:
  PermutedReader(std::shared_ptr<const RowReader> stored, std::vector<int64_t> row,
                 const std::vector<int64_t>& order, torch::ScalarType type)
      : stored_(std::move(stored)), row_(std::move(row)), order_{0}, type_(type) {
    for (const int64_t dimension : order) order_.push_back(dimension + 1);
  }
  void read(int64_t first, int64_t count, void* out) const override {
    std::vector<int64_t> shape{count};
    shape.insert(shape.end(), row_.begin(), row_.end());
    torch::Tensor stored = torch::empty(shape, type_);
    stored_->read(first, count, stored.mutable_data_ptr());
    const torch::Tensor rows = stored.permute(order_).contiguous();
    std::memcpy(out, rows.const_data_ptr(), rows.nbytes());
  }
  bool has_random_access() const override { return stored_->has_random_access(); }
  std::string access_method() const override { return stored_->access_method(); }
  void require_unchanged() const override { stored_->require_unchanged(); }

 private:
  std::shared_ptr<const RowReader> stored_;
  std::vector<int64_t> row_, order_;
  torch::ScalarType type_;
};

// Where C, D, H and W are in a row, as far as it has them: NHWC gives 2, 0, 1.
std::vector<int64_t> image_order(const std::string& axes) {
  std::vector<int64_t> order;
  for (const char axis : {'C', 'D', 'H', 'W'})
    if (const size_t place = axes.find(axis); place != std::string::npos)
      order.push_back(static_cast<int64_t>(place) - 1);
  return order;
}

std::vector<int64_t> permuted(const std::vector<int64_t>& row, const std::vector<int64_t>& order) {
  std::vector<int64_t> result;
  result.reserve(order.size());
  for (const int64_t dimension : order) result.push_back(row[static_cast<size_t>(dimension)]);
  return result;
}

}  // namespace

std::vector<std::string> image_axes() {
  return {"NCHW", "NHWC", "NHW", "NCWH", "NWH", "NDHW", "NHWD", "NDWH", "NCDHW", "NDHWC", "NHWDC", "NCDWH"};
}

bool are_of_volumes(const std::string& axes) { return axes.find('D') != std::string::npos; }

hdf5::DatasetInfo describe_rows(const DataFile& file, const RowView& view) {
  hdf5::DatasetInfo info = file.describe(view.path);
  if (info.type_class == H5T_COMPOUND && info.shape.size() == 1) {
    const Fields fields = fields_of(file, view.path, hdf5::open_dataset(file.handle(), view.path));
    if (fields.numbers.empty())
      file.reject(fmt::format("{} is a table without a numeric field; expected at least one", view.path));
    info.shape.push_back(fields.columns());
    if (!info.chunk.empty()) info.chunk.push_back(fields.columns());
    info.type_class = H5T_FLOAT;
    info.type_size = sizeof(float);
  }
  if (view.reversed) {
    std::ranges::reverse(info.shape);
    std::ranges::reverse(info.chunk);
  }
  if (!view.axes.empty()) {
    const std::vector<int64_t> row(info.shape.begin() + 1, info.shape.end());
    std::ranges::copy(permuted(row, image_order(view.axes)), info.shape.begin() + 1);
    if (!info.chunk.empty())
      std::ranges::copy(info.shape.begin() + 1, info.shape.end(), info.chunk.begin() + 1);
  }
  return info;
}

std::shared_ptr<const RowReader> open_rows(const DataFile& file, const RowView& view,
                                           torch::ScalarType type) {
  const hdf5::DatasetInfo stored = file.describe(view.path);
  if (stored.type_class == H5T_COMPOUND) {
    hdf5::Handle dataset = hdf5::open_dataset(file.handle(), view.path);
    const Fields fields = fields_of(file, view.path, dataset);
    return std::make_shared<TableReader>(std::move(dataset), fields);
  }
  std::shared_ptr<const RowReader> reader;
  if (view.reversed) {
    reader = std::make_shared<ReversedReader>(hdf5::open_dataset(file.handle(), view.path), type);
  } else {
    reader = file.reader(view.path, type);
  }
  const std::vector<int64_t> order = image_order(view.axes);
  if (std::ranges::is_sorted(order)) return reader;
  const hdf5::DatasetInfo info = describe_rows(file, {.path = view.path, .reversed = view.reversed});
  return std::make_shared<PermutedReader>(
      std::move(reader), std::vector<int64_t>(info.shape.begin() + 1, info.shape.end()), order, type);
}

std::vector<std::string> fields_left_out(const DataFile& file, const std::string& path) {
  if (file.describe(path).type_class != H5T_COMPOUND) return {};
  return fields_of(file, path, hdf5::open_dataset(file.handle(), path)).others;
}

bool is_of_loom(const DataFile& file, const std::string& path) {
  return (path == "/matrix" || path.starts_with("/layers/")) && hdf5::exists(file.handle(), path) &&
         !hdf5::is_group(file.handle(), path) && hdf5::is_group(file.handle(), "/col_attrs") &&
         hdf5::is_group(file.handle(), "/row_attrs");
}

bool is_of_matlab(const DataFile& file, const std::string& path) {
  return hdf5::read_text_attribute(hdf5::open_dataset(file.handle(), path), "MATLAB_class").has_value();
}

}  // namespace elbo
