#include "elbo/convert/hdf5_rows.h"

#include <c10/util/accumulate.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/data/decide_view.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/netcdf.h"

namespace elbo {
namespace {

constexpr std::string_view axis_letters = "NTCDHW";     // in the order of the data format
constexpr double netcdf_fill = 9.9692099683868690e+36;  // what netCDF stores where nothing was written
constexpr int64_t most_piece_bytes = int64_t{1024} * 1024 * 1024;

// The numbers of an attribute; none if it does not exist or is not numeric.
std::vector<double> numbers_of(const hdf5::Handle& object, const std::string& name) {
  const auto guard = hdf5::lock();
  if (!hdf5::has_attribute(object, name)) return {};
  const hdf5::Handle attribute(H5Aopen(object.get(), name.c_str(), H5P_DEFAULT), H5Aclose);
  const hdf5::Handle space(H5Aget_space(attribute.get()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if (count < 1 || count > 16) return {};
  std::vector<double> values(static_cast<size_t>(count));
  return H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, values.data()) < 0 ? std::vector<double>{} : values;
}

Packing packing_of(const hdf5::Handle& dataset, const hdf5::DatasetInfo& info) {
  Packing packing;
  const auto first = [&](const char* name, double otherwise) {
    const std::vector<double> values = numbers_of(dataset, name);
    return values.empty() ? otherwise : values.front();
  };
  packing.scale = first("scale_factor", 1);
  packing.offset = first("add_offset", 0);
  for (const char* name : {"_FillValue", "missing_value"})
    for (const double value : numbers_of(dataset, name)) packing.missing.push_back(value);
  if (info.type_class == H5T_FLOAT) packing.missing.push_back(netcdf_fill);
  if (const std::optional<double> fill = hdf5::undeclared_fill(dataset)) packing.missing.push_back(*fill);
  if (info.type_class == H5T_FLOAT && info.type_size <= 4)
    for (double& value : packing.missing) value = static_cast<float>(value);
  const std::vector<double> range = numbers_of(dataset, "valid_range");
  const std::vector<double> low = numbers_of(dataset, "valid_min"), high = numbers_of(dataset, "valid_max");
  if (range.size() == 2) packing.least = range[0], packing.largest = range[1];
  if (!low.empty()) packing.least = low.front();
  if (!high.empty()) packing.largest = high.front();
  packing.unsigned_range = hdf5::unsigned_range(dataset);
  const auto as_meant = [&](double& stored) {
    if (stored < 0) stored += packing.unsigned_range;
  };
  std::ranges::for_each(packing.missing, as_meant);
  if (packing.least) as_meant(*packing.least);
  if (packing.largest) as_meant(*packing.largest);
  return packing;
}

torch::ScalarType type_named(const std::string& name) {
  if (name == "uint8") return torch::kUInt8;
  if (name == "int16") return torch::kInt16;
  if (name == "int32") return torch::kInt32;
  if (name == "int64") return torch::kInt64;
  return name == "float64" ? torch::kFloat64 : torch::kFloat32;
}

// The type of tensors that holds all values of the dataset.
torch::ScalarType type_of(const hdf5::DatasetInfo& info) {
  if (info.type_class == H5T_FLOAT) return info.type_size <= 4 ? torch::kFloat32 : torch::kFloat64;
  if (info.type_size == 1) return info.is_signed ? torch::kInt8 : torch::kUInt8;
  if (info.type_size == 2) return info.is_signed ? torch::kInt16 : torch::kInt32;
  return info.type_size == 4 && info.is_signed ? torch::kInt32 : torch::kInt64;
}

// The type in which a RowReader reads the dataset.
torch::ScalarType reader_type(const hdf5::DatasetInfo& info) {
  if (info.bytes()) return torch::kUInt8;
  return info.type_class == H5T_FLOAT ? torch::kFloat32 : torch::kInt64;
}

std::pair<double, double> range_of(torch::ScalarType type) {
  if (type == torch::kUInt8) return {0, 255};
  if (type == torch::kInt16) return {-32768, 32767};
  if (type == torch::kInt32) return {-2147483648.0, 2147483647.0};
  return {-9007199254740992.0, 9007199254740992.0};  // whole numbers that float64 holds
}

bool may_be_channels(int64_t size) { return size == 1 || size == 3 || size == 4; }

}  // namespace

void AxesOptions::bind(OptionTable& table) {
  table.add(
      "axes", axes,
      "what the dimensions of x are, in their order, a letter for each: N rows, C channels or features, H "
      "height, W width, D depth, T time; empty: N first, and for images NHWC or NCHW by their sizes");
  table.add(
      "transpose", transpose,
      "dimensions are stored in reverse order, as MATLAB stores them; --axes names them as MATLAB shows "
      "them");
  table.add_choice("kind", kind, {"auto", "image", "volume", "tabular", "sequence", "tokens", "audio"},
                   "what the rows are; auto: decided by axes and type");
  table.add_choice("type", type, {"auto", "float32", "float64", "uint8", "int16", "int32", "int64"},
                   "type to store; auto: the closest to the type in the file, float32 for packed values");
  table.add_choice(
      "missing", missing, {"refuse", "drop", "keep"},
      "what happens to rows with missing values (NaN, or given by the attributes _FillValue, "
      "missing_value, valid_range, valid_min and valid_max); refuse: an error; drop: left out; keep: "
      "stored as NaN");
}

Hdf5Rows::Hdf5Rows(const std::string& path, const std::string& dataset, const AxesOptions& options)
    : name_(fmt::format("{}: {}", path, dataset)), options_(options), file_(path) {
  const auto guard = hdf5::lock();
  if (!hdf5::exists(file_.handle(), dataset)) usage_error("{}: no such dataset", name_);
  if (hdf5::is_group(file_.handle(), dataset)) usage_error("{}: is a group; expected a dataset", name_);
  dataset_ = hdf5::open_dataset(file_.handle(), dataset);
  info_ = hdf5::describe(dataset_);
  if (!info_.numeric()) usage_error("{}: holds {}; expected numbers", name_, info_.type_name);
  if (info_.shape.empty() || std::ranges::find(info_.shape, 0) != info_.shape.end())
    usage_error("{}: is {}; expected rows", name_, info_.shape.empty() ? "a single value" : "empty");
  packing_ = packing_of(dataset_, info_);
  find_axes();
  open_reader(dataset);
  for (const std::string& sentence : file_.unwritten_rows(dataset)) log::warning("{}", sentence);
  rows_ = info_.shape[static_cast<size_t>(order_.front())];
  for (size_t i = 1; i < order_.size(); ++i)
    row_shape_.push_back(info_.shape[static_cast<size_t>(order_[i])]);
  if ((kind_ == "image" && row_shape_.size() == 2) || (kind_ == "volume" && row_shape_.size() == 3))
    row_shape_.insert(row_shape_.begin(), 1);
  if (row_shape_.empty()) row_shape_ = {1};
  if (options_.kind != "auto") kind_ = options_.kind;
}

// The reader of training has filters that the library lacks, such as h5py's LZF, and checks that all parts of
// the dataset are there. It reads whole rows of the first dimension, and no float64.
void Hdf5Rows::open_reader(const std::string& dataset) {
  stored_type_ = type_of(info_);
  const bool library_can =
      std::ranges::all_of(info_.filters, [](const auto& filter) { return H5Zfilter_avail(filter.id) > 0; });
  if (stored_type_ == torch::kFloat64 && !library_can) stored_type_ = torch::kFloat32;
  std::shared_ptr<const RowReader> reader = file_.reader(dataset, reader_type(info_));
  if (order_.front() == 0 && stored_type_ != torch::kFloat64)
    reader_ = std::move(reader);
  else if (!library_can)
    usage_error(
        "{}: has a filter that the HDF5 library lacks, so that only rows of its first dimension can be read; "
        "store it again without the filter",
        name_);
}

void Hdf5Rows::name_axes(const std::string& letters) {
  for (const char letter : axis_letters)
    if (const size_t place = letters.find(letter); place != std::string::npos)
      order_.push_back(static_cast<int64_t>(place));
  const auto has = [&](char letter) { return letters.find(letter) != std::string::npos; };
  kind_ = has('T')                           ? "sequence"
          : has('D') && has('H') && has('W') ? "volume"
          : has('H') && has('W')             ? "image"
          : has('H') || has('W') || has('D') ? "sequence"
                                             : "tabular";
}

void Hdf5Rows::find_axes() {
  const std::vector<int64_t>& shape = info_.shape;
  const bool matlab = hdf5::has_attribute(dataset_, "MATLAB_class"), is_volume = options_.kind == "volume";
  const std::string volumes =
      is_volume || options_.kind == "auto" ? axes_of_volumes(shape, is_volume, matlab) : "";
  if (!options_.axes.empty()) {
    std::string letters = options_.axes;
    const bool known =
        std::ranges::all_of(letters, [&](char c) { return axis_letters.find(c) != std::string::npos; });
    std::string sorted = letters;
    std::ranges::sort(sorted);
    if (!known || std::ranges::adjacent_find(sorted) != sorted.end() ||
        letters.find('N') == std::string::npos)
      usage_error("--axes={}: expected different letters of N, T, C, D, H, W, with N for the rows", letters);
    if (letters.size() != shape.size())
      usage_error("--axes={}: {} has {} dimensions, {}; expected a letter for each", letters, name_,
                  shape.size(), shape_text(shape));
    if (options_.transpose || matlab) std::ranges::reverse(letters);
    name_axes(letters);
  } else if (!volumes.empty() && !options_.transpose) {
    name_axes(volumes);
  } else if (options_.transpose || matlab) {
    if (shape.size() > 4 || (options_.transpose && shape.size() > 2))
      usage_error("{}: has {} dimensions; name them with --axes, such as --axes=HWN", name_, shape.size());
    constexpr std::array stored{"N", "CN", "NWH", "NCWH"};
    name_axes(stored.at(shape.size() - 1));
  } else if (shape.size() == 4 && may_be_channels(shape[3]) && !may_be_channels(shape[1])) {
    name_axes("NHWC");
  } else {
    const bool bytes = type_of(info_) == torch::kUInt8;
    order_.resize(shape.size());
    std::iota(order_.begin(), order_.end(), 0);
    kind_ = shape.size() <= 2                                       ? "tabular"
            : shape.size() == 3                                     ? (bytes ? "image" : "sequence")
            : shape.size() == 4 && (shape[1] == 1 || shape[1] == 3) ? "image"
                                                                    : "sequence";
  }
}

int64_t Hdf5Rows::rows_per_piece() const {
  constexpr int64_t piece_bytes = int64_t{32} * 1024 * 1024;
  const int64_t row_bytes = std::max<int64_t>(1, c10::multiply_integers(row_shape_)) * 8;
  const int64_t chunk = info_.chunk.empty() ? 1 : info_.chunk[static_cast<size_t>(order_.front())];
  const int64_t wanted = std::max<int64_t>(1, piece_bytes / row_bytes);
  const int64_t most = std::max<int64_t>(1, most_piece_bytes / row_bytes);
  return std::min({std::max<int64_t>(chunk, wanted / chunk * chunk), most, rows_});
}

// The values of rows as the file stores them, in the order of its dimensions.
torch::Tensor Hdf5Rows::read_stored(int64_t first, int64_t count) const {
  std::vector<int64_t> shape = info_.shape;
  shape[static_cast<size_t>(order_.front())] = count;
  if (reader_) {
    torch::Tensor values = torch::empty(shape, reader_type(info_));
    reader_->read(first, count, values.mutable_data_ptr());
    return values;
  }
  const auto guard = hdf5::lock();
  std::vector<hsize_t> start(shape.size(), 0), size(shape.begin(), shape.end());
  start[static_cast<size_t>(order_.front())] = static_cast<hsize_t>(first);
  const hdf5::Handle space(H5Dget_space(dataset_.get()), H5Sclose);
  const hdf5::Handle memory(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose);
  hdf5::check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr),
              dataset_.get(), "select rows");
  torch::Tensor values = torch::empty(shape, stored_type_);
  if (H5Dread(dataset_.get(), hdf5::memory_type(stored_type_), memory.get(), space.get(), H5P_DEFAULT,
              values.mutable_data_ptr()) < 0)
    fail("{}: rows {} to {} cannot be read: {}", name_, first, first + count - 1, hdf5::last_reason());
  return values;
}

// (count, …) in the order of the rows' axes.
torch::Tensor Hdf5Rows::stored(int64_t first, int64_t count) const {
  const torch::Tensor values = read_stored(first, count);
  if (!info_.is_signed && info_.type_size == 8 &&
      (values < 0).logical_or(values == std::numeric_limits<int64_t>::max()).any().item<bool>())
    usage_error("{}: holds numbers of 2^63 or more; expected smaller ones", name_);
  std::vector<int64_t> shape{count};
  shape.insert(shape.end(), row_shape_.begin(), row_shape_.end());
  return values.to(stored_type_).permute(order_).reshape(shape);
}

// In units, with NaN for missing values.
torch::Tensor Hdf5Rows::unpacked(const torch::Tensor& stored) const {
  if (!packing_.any()) return stored;
  torch::Tensor raw = stored;
  if (packing_.unsigned_range > 0) {
    raw = raw.to(torch::kFloat64);
    raw = torch::where(raw < 0, raw + packing_.unsigned_range, raw);
  }
  torch::Tensor missing = torch::zeros(raw.sizes(), torch::kBool);
  const torch::Tensor exact = raw.to(torch::kFloat64);
  for (const double value : packing_.missing) missing = missing.logical_or(exact == value);
  if (packing_.least) missing = missing.logical_or(exact < *packing_.least);
  if (packing_.largest) missing = missing.logical_or(exact > *packing_.largest);
  if (packing_.packed()) raw = exact * packing_.scale + packing_.offset;
  if (!missing.any().item<bool>()) return raw;
  if (!torch::isFloatingType(raw.scalar_type())) raw = raw.to(torch::kFloat64);
  return raw.masked_fill(missing, std::nan(""));
}

torch::ScalarType Hdf5Rows::type() const {
  if (options_.type != "auto") return type_named(options_.type);
  const torch::ScalarType own = stored_type_;
  const bool as_floats = packing_.packed() || options_.missing == "keep" || packing_.unsigned_range > 0;
  return as_floats && own != torch::kFloat64 ? torch::kFloat32 : own;
}

torch::Tensor Hdf5Rows::converted(const torch::Tensor& rows, int64_t first) const {
  const torch::ScalarType type = this->type();
  if (type == torch::kFloat32 && rows.scalar_type() == torch::kFloat64 &&
      (rows.abs() > std::numeric_limits<float>::max()).logical_and(rows.isfinite()).any().item<bool>())
    usage_error("{}: holds numbers beyond 3.4e38, the largest of float32; use --type=float64", name_);
  if (torch::isFloatingType(type) || type == rows.scalar_type()) return rows.to(type);
  const auto [least, largest] = range_of(type);
  const torch::Tensor numbers = rows.to(torch::kFloat64);
  const torch::Tensor wrong =
      (numbers < least).logical_or(numbers > largest).logical_or(numbers != numbers.round());
  if (wrong.any().item<bool>())
    usage_error("{}: row {} holds {}, which --type={} cannot hold; use --type=float32", name_,
                first + wrong.flatten(1).any(1).nonzero()[0].item<int64_t>(),
                numbers.masked_select(wrong)[0].item<double>(), options_.type);
  return rows.to(type);
}

std::pair<torch::Tensor, std::vector<int64_t>> Hdf5Rows::read(int64_t first, int64_t count) const {
  torch::Tensor rows = unpacked(stored(first, count));
  std::vector<int64_t> kept(static_cast<size_t>(count));
  std::iota(kept.begin(), kept.end(), first);
  if (torch::isFloatingType(rows.scalar_type()) && options_.missing != "keep") {
    const torch::Tensor incomplete = rows.flatten(1).isnan().any(1);
    if (incomplete.any().item<bool>()) {
      if (options_.missing == "refuse")
        usage_error(
            "{}: row {} has missing values (NaN, or given by _FillValue and the like); use --missing=drop to "
            "leave "
            "such rows out, or --missing=keep to store NaN",
            name_, first + incomplete.nonzero()[0].item<int64_t>());
      rows = rows.index_select(0, incomplete.logical_not().nonzero().flatten());
      std::erase_if(kept, [&](int64_t row) { return incomplete[row - first].item<bool>(); });
    }
  }
  return {converted(rows, first), kept};
}

}  // namespace elbo
