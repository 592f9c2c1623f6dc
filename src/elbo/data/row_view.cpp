#include "elbo/data/row_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/number_types.h"
#include "elbo/hdf5/raw_file.h"

namespace elbo {
namespace {

// The numbers of a table: the type that reads them as float32, one after another, and the names of the fields
// without any.
struct Fields {
  hdf5::Handle floats;  // empty: there are none
  std::vector<std::string> others;
  int64_t columns() const { return floats ? float_count(floats) : 0; }
  static int64_t float_count(const hdf5::Handle& type) {
    return static_cast<int64_t>(H5Tget_size(type.get()) / sizeof(float));
  }
};

hdf5::Handle as_floats(hid_t type);

// Fields of a compound type, without those that `skip` refuses by their names.
Fields fields_in(hid_t table, const std::function<bool(const std::string&)>& skip) {
  Fields fields;
  std::vector<std::pair<std::string, hdf5::Handle>> numbers;
  size_t size = 0;
  const int members = H5Tget_nmembers(table);
  for (int i = 0; i < members; ++i) {
    const auto number = static_cast<unsigned>(i);
    char* const stored = H5Tget_member_name(table, number);
    std::string name = stored == nullptr ? "" : stored;
    H5free_memory(stored);
    const hdf5::Handle type(H5Tget_member_type(table, number), H5Tclose);
    hdf5::Handle floats = skip(name) ? hdf5::Handle() : as_floats(type.get());
    if (!floats) {
      fields.others.push_back(std::move(name));
      continue;
    }
    size += H5Tget_size(floats.get());
    numbers.emplace_back(std::move(name), std::move(floats));
  }
  if (numbers.empty()) return fields;
  fields.floats = hdf5::Handle(H5Tcreate(H5T_COMPOUND, size), H5Tclose);
  size_t offset = 0;
  for (const auto& [name, floats] : numbers) {
    if (H5Tinsert(fields.floats.get(), name.c_str(), offset, floats.get()) < 0)
      fail("the field {} of a table cannot be read: {}", name, hdf5::last_reason());
    offset += H5Tget_size(floats.get());
  }
  return fields;
}

// The numbers of a type as float32: of an array those of its elements, of a compound type those of its
// fields. Empty where it has none.
hdf5::Handle as_floats(hid_t type) {
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_COMPOUND) return fields_in(type, [](const std::string&) { return false; }).floats;
  if (kind != H5T_ARRAY) {
    const bool is_number = hdf5::number_type(type).is_number();
    return is_number ? hdf5::Handle(H5Tcopy(H5T_NATIVE_FLOAT), H5Tclose) : hdf5::Handle();
  }
  const hdf5::Handle stored(H5Tget_super(type), H5Tclose), element = as_floats(stored.get());
  if (!element) return {};
  std::vector<hsize_t> shape(static_cast<size_t>(std::max(0, H5Tget_array_ndims(type))));
  H5Tget_array_dims2(type, shape.data());
  return {H5Tarray_create2(element.get(), static_cast<unsigned>(shape.size()), shape.data()), H5Tclose};
}

// The names of the numbers in a type of as_floats(), in their order.
void add_names(hid_t floats, const std::string& name, std::vector<std::string>& names) {
  const H5T_class_t kind = H5Tget_class(floats);
  if (kind == H5T_COMPOUND) {
    const int members = H5Tget_nmembers(floats);
    for (int i = 0; i < members; ++i) {
      const auto number = static_cast<unsigned>(i);
      char* const stored = H5Tget_member_name(floats, number);
      const std::string field = stored == nullptr ? "" : stored;
      H5free_memory(stored);
      const hdf5::Handle type(H5Tget_member_type(floats, number), H5Tclose);
      add_names(type.get(), name.empty() ? field : fmt::format("{}.{}", name, field), names);
    }
  } else if (kind == H5T_ARRAY) {
    const hdf5::Handle element(H5Tget_super(floats), H5Tclose);
    const size_t count = H5Tget_size(floats) / H5Tget_size(element.get());
    for (size_t i = 0; i < count; ++i) add_names(element.get(), fmt::format("{}_{}", name, i), names);
  } else {
    names.push_back(name);
  }
}

// pandas keeps the index beside the columns of a table, dates as integers and categories as codes. Attributes
// of the table say so.
bool is_date_or_category(const hdf5::Handle& table, const std::string& field) {
  const std::string type = hdf5::read_text_attribute(table, field + "_dtype").value_or("");
  return type.starts_with("datetime64") || type.starts_with("timedelta64") ||
         hdf5::read_text_attribute(table, field + "_meta") == "category";
}

Fields fields_of(const DataFile& file, const std::string& path, const hdf5::Handle& dataset) {
  const auto guard = hdf5::lock();
  const hdf5::Handle type(H5Dget_type(dataset.get()), H5Tclose);
  if (H5Tget_class(type.get()) == H5T_ARRAY) return {.floats = as_floats(type.get()), .others = {}};
  const bool of_pandas = is_in_pandas_group(file, path);
  const auto is_index = [&](const std::string& field) { return of_pandas && field == "index"; };
  Fields fields = fields_in(type.get(), [&](const std::string& field) {
    return is_index(field) || (of_pandas && is_date_or_category(dataset, field));
  });
  std::erase_if(fields.others, is_index);
  return fields;
}

class TableReader final : public RowReader {
 public:
  TableReader(hdf5::Handle dataset, hdf5::Handle floats)
      : dataset_(std::move(dataset)), file_(dataset_), type_(std::move(floats)) {}
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

bool is_table(const hdf5::DatasetInfo& info) {
  return (info.type_class == H5T_COMPOUND || info.type_class == H5T_ARRAY) && info.shape.size() == 1;
}

hdf5::DatasetInfo describe_rows(const DataFile& file, const RowView& view) {
  hdf5::DatasetInfo info = file.describe(view.path);
  if (is_table(info)) {
    const Fields fields = fields_of(file, view.path, hdf5::open_dataset(file.handle(), view.path));
    if (fields.columns() == 0)
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
  if (is_table(stored)) {
    hdf5::Handle dataset = hdf5::open_dataset(file.handle(), view.path);
    Fields fields = fields_of(file, view.path, dataset);
    return std::make_shared<TableReader>(std::move(dataset), std::move(fields.floats));
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
  if (file.describe(path).type_class == H5T_COMPOUND)
    return fields_of(file, path, hdf5::open_dataset(file.handle(), path)).others;
  std::vector<std::string> blocks;
  if (!is_block_of_pandas(path) || !is_in_pandas_group(file, path)) return blocks;
  const std::string group = path.substr(0, path.rfind('/'));
  for (const std::string& name : hdf5::list(file.handle(), group)) {
    const std::string block = fmt::format("{}/{}", group, name);
    if (block != path && is_block_of_pandas(block) &&
        (!file.describe(block).numeric() || holds_dates(file, block)))
      blocks.push_back(name);
  }
  return blocks;
}

std::vector<std::string> names_of_columns(const DataFile& file, const std::string& path) {
  std::vector<std::string> names;
  const auto guard = hdf5::lock();
  if (!hdf5::exists(file.handle(), path) || hdf5::is_group(file.handle(), path)) return names;
  if (file.describe(path).type_class == H5T_COMPOUND) {
    const Fields fields = fields_of(file, path, hdf5::open_dataset(file.handle(), path));
    if (fields.floats) add_names(fields.floats.get(), "", names);
  } else if (is_block_of_pandas(path) && is_in_pandas_group(file, path)) {
    const std::string items = path.substr(0, path.rfind('_')) + "_items";
    if (hdf5::exists(file.handle(), items) && file.describe(items).type_class == H5T_STRING &&
        file.describe(items).shape.size() == 1)
      names = hdf5::read_texts(hdf5::open_dataset(file.handle(), items));
  }
  return names;
}

bool is_in_pandas_group(const DataFile& file, const std::string& path) {
  const std::string group = path.substr(0, path.rfind('/'));
  return !group.empty() &&
         hdf5::read_text_attribute(hdf5::open_group(file.handle(), group), "pandas_type").has_value();
}

bool is_block_of_pandas(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name.starts_with("block") && name.ends_with("_values");
}

bool holds_dates(const DataFile& file, const std::string& path) {
  const std::string type =
      hdf5::read_text_attribute(hdf5::open_dataset(file.handle(), path), "value_type").value_or("");
  return type.starts_with("datetime64") || type.starts_with("timedelta64");
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
