#include "elbo/hdf5/check.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo::hdf5 {
namespace {

// Variable-length UTF-8; h5py reads it as str.
Handle text_type(hid_t object) {
  Handle type = checked(H5Tcopy(H5T_C_S1), H5Tclose, object, "create a string type");
  check(H5Tset_size(type.get(), H5T_VARIABLE), object, "create a string type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), object, "create a string type");
  return type;
}

std::vector<const char*> pointers(const std::vector<std::string>& values) {
  std::vector<const char*> texts;
  texts.reserve(values.size());
  for (const std::string& value : values) texts.push_back(value.c_str());
  return texts;
}

Handle list_space(hid_t object, size_t count) {
  const hsize_t size = count;
  return checked(H5Screate_simple(1, &size, nullptr), H5Sclose, object, "create a dataspace");
}

void write(hid_t object, const std::string& name, hid_t type, const void* value) {
  const auto guard = lock();
  const Handle space = checked(H5Screate(H5S_SCALAR), H5Sclose, object, "create a dataspace");
  const Handle attribute =
      checked(H5Acreate2(object, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose, object,
              "create an attribute");
  check(H5Awrite(attribute.get(), type, value), object, "write an attribute");
}

// The attribute if it exists and is a scalar, otherwise an empty handle.
Handle open_scalar(const Handle& object, const std::string& name) {
  if (H5Aexists(object.get(), name.c_str()) <= 0) return {};
  Handle attribute =
      checked(H5Aopen(object.get(), name.c_str(), H5P_DEFAULT), H5Aclose, object.get(), "open an attribute");
  const Handle space(H5Aget_space(attribute.get()), H5Sclose);
  return H5Sget_simple_extent_npoints(space.get()) == 1 ? std::move(attribute) : Handle();
}

template <typename Number>
std::optional<Number> read_number(const Handle& object, const std::string& name, hid_t type) {
  const auto guard = lock();
  const Handle attribute = open_scalar(object, name);
  if (!attribute) return std::nullopt;
  Number value{};
  if (H5Aread(attribute.get(), type, &value) < 0) return std::nullopt;  // not a number
  return value;
}

}  // namespace

void write_attribute(const Handle& object, const std::string& name, const std::string& value) {
  const auto guard = lock();
  const char* text = value.c_str();
  write(object.get(), name, text_type(object.get()).get(), static_cast<const void*>(&text));
}

void write_attribute(const Handle& object, const std::string& name, const std::vector<std::string>& values) {
  const auto guard = lock();
  const std::vector<const char*> texts = pointers(values);
  const Handle type = text_type(object.get());
  const Handle attribute =
      checked(H5Acreate2(object.get(), name.c_str(), type.get(), list_space(object.get(), texts.size()).get(),
                         H5P_DEFAULT, H5P_DEFAULT),
              H5Aclose, object.get(), "create an attribute");
  if (!texts.empty())
    check(H5Awrite(attribute.get(), type.get(), static_cast<const void*>(texts.data())), object.get(),
          "write an attribute");
}

Handle write_texts(const Handle& location, const std::string& path, const std::vector<std::string>& values) {
  const auto guard = lock();
  const std::vector<const char*> texts = pointers(values);
  const Handle type = text_type(location.get());
  const Handle parents(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  check(H5Pset_create_intermediate_group(parents.get(), 1), location.get(), "set link creation properties");
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  check(H5Pset_obj_track_times(creation.get(), false), location.get(), "set dataset creation properties");
  Handle dataset = made_in(
      location,
      H5Dcreate2(location.get(), path.c_str(), type.get(), list_space(location.get(), texts.size()).get(),
                 parents.get(), creation.get(), H5P_DEFAULT),
      H5Dclose, "create a dataset");
  if (!texts.empty())
    check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                   static_cast<const void*>(texts.data())),
          dataset.get(), "write it");
  return dataset;
}

std::vector<std::string> read_texts(const Handle& dataset) {
  const auto guard = lock();
  const DatasetInfo info = describe(dataset);
  if (info.type_class != H5T_STRING || info.shape.size() != 1)
    usage_error("{}: holds {}; expected a list of strings", name_of(dataset.get()), info.type_name);
  const auto count = static_cast<size_t>(info.shape.front());
  std::vector<std::string> texts;
  texts.reserve(count);
  if (count == 0) return texts;
  const Handle type(H5Dget_type(dataset.get()), H5Tclose);
  if (H5Tis_variable_str(type.get()) <= 0) {  // fixed length, padded
    std::string all(count * info.type_size, '\0');
    check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, all.data()), dataset.get(),
          "read it");
    for (size_t i = 0; i < count; ++i) {
      const std::string text = all.substr(i * info.type_size, info.type_size);
      texts.push_back(text.substr(0, text.find('\0')));
    }
    return texts;
  }
  std::vector<char*> stored(count, nullptr);
  check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, static_cast<void*>(stored.data())),
        dataset.get(), "read it");
  for (const char* text : stored) texts.emplace_back(text == nullptr ? "" : text);
  const Handle space(H5Dget_space(dataset.get()), H5Sclose);
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, static_cast<void*>(stored.data()));
  return texts;
}

void write_attribute(const Handle& object, const std::string& name, int64_t value) {
  write(object.get(), name, H5T_NATIVE_INT64, &value);
}

void write_attribute(const Handle& object, const std::string& name, double value) {
  write(object.get(), name, H5T_NATIVE_DOUBLE, &value);
}

void write_boolean_attribute(const Handle& object, const std::string& name, bool value) {
  const auto guard = lock();
  const Handle type =
      checked(H5Tenum_create(H5T_NATIVE_INT8), H5Tclose, object.get(), "create an enumeration");
  for (const int8_t number : {int8_t{0}, int8_t{1}})
    check(H5Tenum_insert(type.get(), number == 0 ? "FALSE" : "TRUE", &number), object.get(),
          "create an enumeration");
  const int8_t stored = value ? 1 : 0;
  write(object.get(), name, type.get(), &stored);
}

bool has_attribute(const Handle& object, const std::string& name) {
  const auto guard = lock();
  return H5Aexists(object.get(), name.c_str()) > 0;
}

std::optional<std::string> read_text_attribute(const Handle& object, const std::string& name) {
  const auto guard = lock();
  const Handle attribute = open_scalar(object, name);
  if (!attribute) return std::nullopt;
  const Handle type(H5Aget_type(attribute.get()), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_STRING) return std::nullopt;
  if (H5Tis_variable_str(type.get()) <= 0) {
    std::string text(H5Tget_size(type.get()), '\0');
    check(H5Aread(attribute.get(), type.get(), text.data()), object.get(), "read an attribute");
    return text.substr(0, text.find('\0'));
  }
  char* stored = nullptr;
  check(H5Aread(attribute.get(), type.get(), static_cast<void*>(&stored)), object.get(), "read an attribute");
  std::string text = stored == nullptr ? "" : stored;
  H5free_memory(stored);
  return text;
}

std::optional<int64_t> read_integer_attribute(const Handle& object, const std::string& name) {
  return read_number<int64_t>(object, name, H5T_NATIVE_INT64);
}

std::optional<double> read_double_attribute(const Handle& object, const std::string& name) {
  return read_number<double>(object, name, H5T_NATIVE_DOUBLE);
}

std::vector<std::string> read_texts_attribute(const Handle& object, const std::string& name) {
  const auto guard = lock();
  if (H5Aexists(object.get(), name.c_str()) <= 0) return {};
  const Handle attribute =
      checked(H5Aopen(object.get(), name.c_str(), H5P_DEFAULT), H5Aclose, object.get(), "open an attribute");
  const Handle type(H5Aget_type(attribute.get()), H5Tclose), space(H5Aget_space(attribute.get()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  constexpr hssize_t most = 1 << 20;  // anything is possible in a damaged file
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) <= 0 || count < 1 ||
      count > most)
    return {};
  std::vector<char*> stored(static_cast<size_t>(count), nullptr);
  check(H5Aread(attribute.get(), type.get(), static_cast<void*>(stored.data())), object.get(),
        "read an attribute");
  std::vector<std::string> texts;
  texts.reserve(stored.size());
  for (const char* text : stored) texts.emplace_back(text == nullptr ? "" : text);
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, static_cast<void*>(stored.data()));
  return texts;
}

std::vector<double> read_numbers_attribute(const Handle& object, const std::string& name) {
  const auto guard = lock();
  if (H5Aexists(object.get(), name.c_str()) <= 0) return {};
  const Handle attribute =
      checked(H5Aopen(object.get(), name.c_str(), H5P_DEFAULT), H5Aclose, object.get(), "open an attribute");
  const Handle space(H5Aget_space(attribute.get()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  constexpr hssize_t most = 1 << 20;  // anything is possible in a damaged file
  if (count < 1 || count > most) return {};
  std::vector<double> numbers(static_cast<size_t>(count));
  if (H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, numbers.data()) < 0) return {};  // not numbers
  return numbers;
}

}  // namespace elbo::hdf5
