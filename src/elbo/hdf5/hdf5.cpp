#include "elbo/hdf5/hdf5.h"

#include <c10/util/accumulate.h>
#include <torch/types.h>

#include <algorithm>

#include "elbo/base/file.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/failures.h"
#include "elbo/hdf5/number_types.h"

namespace elbo::hdf5 {
namespace {

// Shortens "file write failed: time = …, error message = 'No space left on device', …" to the failed
// operation and the system's message.
std::string shorten(const std::string& description) {
  constexpr std::string_view begin = "error message = '";
  const size_t time = description.find(": time ="), message = description.find(begin);
  if (time == std::string::npos || message == std::string::npos)
    return description.substr(0, description.find('\n'));
  const size_t first = message + begin.size();
  return fmt::format("{} ({})", description.substr(0, time),
                     description.substr(first, description.find('\'', first) - first));
}

std::string describe_type(hid_t type) {
  const size_t bits = 8 * H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
    case H5T_FLOAT: {
      const bool is_float = H5Tget_class(type) == H5T_FLOAT;
      const char* kind = is_float ? "float" : H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int";
      const char* order = bits > 8 && H5Tget_order(type) == H5T_ORDER_BE ? " big-endian" : "";
      return fmt::format("{}{}{}", kind, bits, order);
    }
    case H5T_STRING:
      return "string";
    case H5T_COMPOUND:
      return "compound";
    case H5T_ENUM:
      return "enumeration";
    case H5T_BITFIELD:
      return fmt::format("{} bits", bits);
    case H5T_VLEN:
      return "variable-length lists";
    case H5T_REFERENCE:
      return "reference";
    default:
      return fmt::format("opaque, {} bits", bits);
  }
}

std::vector<DatasetInfo::FilterInfo> filters_of(hid_t properties) {
  std::vector<DatasetInfo::FilterInfo> filters;
  const int count = H5Pget_nfilters(properties);
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0;
    std::vector<unsigned> parameters(32);
    size_t count_of_parameters = parameters.size();
    char name[64] = "";
    const H5Z_filter_t filter =
        H5Pget_filter2(properties, static_cast<unsigned>(i), &flags, &count_of_parameters, parameters.data(),
                       sizeof name, name, nullptr);
    parameters.resize(std::min(count_of_parameters, parameters.size()));
    filters.push_back(
        {filter, name[0] != '\0' ? name : fmt::format("filter {}", filter), std::move(parameters)});
  }
  return filters;
}

std::vector<int64_t> dimensions(hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> sizes(static_cast<size_t>(std::max(rank, 0)));
  if (rank > 0) H5Sget_simple_extent_dims(space, sizes.data(), nullptr);
  return {sizes.begin(), sizes.end()};
}

}  // namespace

std::unique_lock<std::recursive_mutex> lock() {
  static std::recursive_mutex mutex;
  // Turns off HDF5's exit handler, which crashes after a failed write because it visits closed files.
  static const bool prepared = H5dont_atexit() >= 0 && register_conversions_of_bits();
  // And its error output, which last_reason() replaces: each thread has its own where HDF5 is thread-safe.
  static thread_local const bool quiet = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  if (!prepared || !quiet) fail("HDF5 could not be initialised");
  return std::unique_lock(mutex);
}

// The lock was taken when the handle was made, so taking it does not fail.
Handle::~Handle() {  // NOLINT(bugprone-exception-escape)
  if (id_ < 0) return;
  const auto guard = lock();
  if (close_(id_) < 0 && incomplete_) *incomplete_ = true;
}

std::string last_reason() {
  std::string reason;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
        auto& text = *static_cast<std::string*>(out);
        const std::string line = shorten(error->desc == nullptr ? "" : error->desc);
        if (!line.empty() && text.find(line) == std::string::npos) text += (text.empty() ? "" : "; ") + line;
        return text.size() < 60 ? 0 : 1;
      },
      &reason);
  return reason.empty() ? "HDF5 gives no reason" : reason;
}

int64_t DatasetInfo::row_elements() const { return c10::multiply_integers(shape.begin() + 1, shape.end()); }

std::string name_of(hid_t object) {
  const auto text = [&](auto&& get) {
    const ssize_t length = get(nullptr, 0);
    if (length <= 0) return std::string();
    std::string name(static_cast<size_t>(length), '\0');
    get(name.data(), name.size() + 1);
    return name;
  };
  const std::string file = text([&](char* out, size_t size) { return H5Fget_name(object, out, size); });
  const std::string path = text([&](char* out, size_t size) { return H5Iget_name(object, out, size); });
  return path.empty() || path == "/" ? file : file + ": " + path;
}

bool is_hdf5(const std::string& path) {
  const auto guard = lock();
  return H5Fis_hdf5(path.c_str()) > 0;
}

Handle open_file(const std::string& path) {
  const auto guard = lock();
  require_readable_file(path);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) cannot_open_file(path);
  return {file, H5Fclose};
}

Handle create_file(const std::string& path, uint64_t user_block) {
  const auto guard = lock();
  const Handle properties(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  if (user_block > 0 && H5Pset_userblock(properties.get(), user_block) < 0)
    fail("{}: could not set a user block: {}", path, last_reason());
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_EXCL, properties.get(), H5P_DEFAULT);
  if (file < 0) fail("{}: cannot be created: {}", path, last_reason());
  Handle created(file, H5Fclose);
  created.incomplete_ = std::make_shared<bool>(false);
  return created;
}

void write_out(const Handle& file, const std::string& path) {
  const auto guard = lock();
  if (H5Fflush(file.get(), H5F_SCOPE_GLOBAL) < 0)
    fail("{}: cannot be written: is the disk full? ({})", path, last_reason());
  if (*file.incomplete_) fail("{}: cannot be written: is the disk full?", path);
}

bool exists(const Handle& location, const std::string& path) {
  const auto guard = lock();
  // H5Lexists requires that all intermediate groups exist.
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string prefix = path.substr(0, end);
    if (prefix != "/" && H5Lexists(location.get(), prefix.c_str(), H5P_DEFAULT) <= 0) return false;
    if (H5Oexists_by_name(location.get(), prefix.c_str(), H5P_DEFAULT) <= 0)
      cannot_follow_link(location, prefix);
    if (end == std::string::npos) return true;
  }
}

bool is_group(const Handle& location, const std::string& path) {
  const auto guard = lock();
  if (!exists(location, path)) return false;
  H5O_info_t info;
  return H5Oget_info_by_name1(location.get(), path.c_str(), &info, H5P_DEFAULT) >= 0 &&
         info.type == H5O_TYPE_GROUP;
}

bool leads_nowhere(const Handle& location, const std::string& path) {
  const auto guard = lock();
  return H5Lexists(location.get(), path.c_str(), H5P_DEFAULT) > 0 &&
         H5Oexists_by_name(location.get(), path.c_str(), H5P_DEFAULT) <= 0;
}

std::pair<uint64_t, uint64_t> identity(const Handle& location, const std::string& path) {
  const auto guard = lock();
  H5O_info_t info;
  check(H5Oget_info_by_name1(location.get(), path.c_str(), &info, H5P_DEFAULT), location.get(),
        "find an object");
  return {info.fileno, info.addr};
}

bool same_file(const Handle& object, const Handle& other) {
  return identity(object, ".").first == identity(other, ".").first;
}

Handle open_dataset(const Handle& location, const std::string& path) {
  const auto guard = lock();
  const hid_t dataset = H5Dopen2(location.get(), path.c_str(), H5P_DEFAULT);
  if (dataset < 0) cannot_open_object(location, path);
  return {dataset, H5Dclose, location};
}

Handle share(const Handle& dataset) {
  const auto guard = lock();
  check(H5Iinc_ref(dataset.get()), dataset.get(), "share it");
  return {dataset.get(), H5Dclose, dataset};
}

Handle open_group(const Handle& location, const std::string& path) {
  const auto guard = lock();
  const hid_t group = H5Gopen2(location.get(), path.c_str(), H5P_DEFAULT);
  if (group < 0) cannot_open_object(location, path);
  return {group, H5Gclose, location};
}

Handle create_group(const Handle& location, const std::string& path) {
  const auto guard = lock();
  const Handle parents(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  check(H5Pset_create_intermediate_group(parents.get(), 1), location.get(), "set link creation properties");
  return made_in(location, H5Gcreate2(location.get(), path.c_str(), parents.get(), H5P_DEFAULT, H5P_DEFAULT),
                 H5Gclose, "create a group");
}

std::vector<std::string> list(const Handle& location, const std::string& group) {
  const auto guard = lock();
  const Handle opened = open_group(location, group);
  std::vector<std::string> names;
  check(H5Literate(
            opened.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr,
            [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
              static_cast<std::vector<std::string>*>(out)->emplace_back(name);
              return 0;
            },
            &names),
        opened.get(), "list the group");
  return names;
}

DatasetInfo describe(const Handle& dataset) {
  const auto guard = lock();
  const Handle type = checked(H5Dget_type(dataset.get()), H5Tclose, dataset.get(), "read its type");
  const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
  const Handle properties =
      checked(H5Dget_create_plist(dataset.get()), H5Pclose, dataset.get(), "read its layout");
  DatasetInfo info;
  info.shape = dimensions(space.get());
  const NumberType number = number_type(type.get());
  info.type_class = number.type_class;
  info.type_size = H5Tget_size(type.get());
  info.is_signed = number.is_signed;
  info.type_name = describe_type(type.get());
  if (H5Pget_layout(properties.get()) == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(info.shape.size());
    H5Pget_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data());
    info.chunk.assign(chunk.begin(), chunk.end());
  }
  info.filters = filters_of(properties.get());
  return info;
}

}  // namespace elbo::hdf5
