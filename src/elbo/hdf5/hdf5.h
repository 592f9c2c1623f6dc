// Move-only handles for HDF5's C library. Every call is checked, and an Error contains HDF5's own reason. The
// library is not thread-safe: the functions here take lock(); callers that pass a handle to the library
// directly must hold it.
#pragma once
#include <hdf5.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace elbo::hdf5 {

// The lock of the library. Recursive, so that a function that holds it can call another that takes it.
std::unique_lock<std::recursive_mutex> lock();

// Owns an HDF5 identifier and closes it.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  // An object of the file that `location` is or belongs to.
  Handle(hid_t id, herr_t (*close)(hid_t), const Handle& location)
      : id_(id), close_(close), incomplete_(location.incomplete_) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), close_(other.close_), incomplete_(std::move(other.incomplete_)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    std::swap(incomplete_, other.incomplete_);
    return *this;
  }
  ~Handle();
  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }

 private:
  friend Handle create_file(const std::string& path, uint64_t user_block);
  friend void write_out(const Handle& file, const std::string& path);

  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
  // Of a file that is written, shared by its objects: one of them could not write its last data when it was
  // closed, which a destructor cannot report.
  std::shared_ptr<bool> incomplete_;
};

// The reason of HDF5's last failure in one line, innermost first.
std::string last_reason();

struct DatasetInfo {
  std::vector<int64_t> shape;
  H5T_class_t type_class = H5T_NO_CLASS;  // as in number_types.h: enumerations are integers
  size_t type_size = 0;
  bool is_signed = true;
  std::vector<int64_t> chunk;  // empty: contiguous or compact
  std::string type_name;       // "uint8", "float32 big-endian", "string"
  struct FilterInfo {
    H5Z_filter_t id = 0;
    std::string name;
    std::vector<unsigned> parameters;
  };
  std::vector<FilterInfo> filters;  // in the order in which a writer applies them
  bool numeric() const { return type_class == H5T_INTEGER || type_class == H5T_FLOAT; }
  bool bytes() const { return type_class == H5T_INTEGER && type_size == 1 && !is_signed; }
  int64_t row_elements() const;  // elements of a row (an index of the first dimension)
};

// Whether the file begins with HDF5's signature, possibly after a user block. False if it cannot be read.
bool is_hdf5(const std::string& path);
// Read-only. Throws a usage Error with the reason and the remedy if the file cannot be opened.
Handle open_file(const std::string& path);
// A new file; throws Error if it exists. user_block: bytes reserved at its start (0 or a power of two ≥ 512).
Handle create_file(const std::string& path, uint64_t user_block = 0);
// Writes what is still in memory of a file from create_file() and of everything open in it. Throws Error
// where that fails, or has failed for an object of this file that is closed already. To be called before the
// file is closed.
void write_out(const Handle& file, const std::string& path);
// Both throw a usage Error that names the target of a link which leads nowhere.
bool exists(const Handle& location, const std::string& path);
bool is_group(const Handle& location, const std::string& path);
// Whether `path`, in an existing group, is a link whose target cannot be reached.
bool leads_nowhere(const Handle& location, const std::string& path);
bool same_file(const Handle& object, const Handle& other);  // links may lead to another one
// File and address of an object: equal for all links to it.
std::pair<uint64_t, uint64_t> identity(const Handle& location, const std::string& path);
Handle open_dataset(const Handle& location, const std::string& path);
Handle open_group(const Handle& location, const std::string& path);
Handle create_group(const Handle& location, const std::string& path);             // and its parents
std::vector<std::string> list(const Handle& location, const std::string& group);  // names, sorted
DatasetInfo describe(const Handle& dataset);
Handle share(const Handle& dataset);  // another handle of the same dataset
// The element of a dataset's rows that were never written, converted to `type`; 0 if the dataset defines
// none.
std::vector<uint8_t> fill_value(const Handle& dataset, torch::ScalarType type);

// Reads rows [first, first + count), converted by HDF5 to `memory_type`.
void read_rows(const Handle& dataset, int64_t first, int64_t count, hid_t memory_type, void* out);

// The whole dataset as float32, float64, int64, int32 or uint8, the type closest to the stored one.
torch::Tensor read_tensor(const Handle& dataset);
// Writes a contiguous tensor of those types, int16 or int8. chunk_rows > 0: chunked and, with deflate > 0,
// compressed (shuffle + deflate of that level).
Handle write_tensor(const Handle& location, const std::string& path, const torch::Tensor& tensor,
                    int64_t chunk_rows = 0, unsigned deflate = 0);
// Creates a contiguous dataset of a fixed shape; write_rows() fills it.
Handle create_dataset(const Handle& location, const std::string& path, const std::vector<int64_t>& shape,
                      torch::ScalarType type);
// Writes rows [first, first + rows.size(0)); all of it where it has no dimensions.
void write_rows(const Handle& dataset, int64_t first, const torch::Tensor& rows);
// Creates an extendible dataset (0, …) for streaming; append() adds rows to it.
Handle create_rows(const Handle& location, const std::string& path, const std::vector<int64_t>& row_shape,
                   torch::ScalarType type, int64_t chunk_rows, unsigned deflate);
void append(const Handle& dataset, const torch::Tensor& rows);
// Writes a dataset (N) of variable-length UTF-8 strings; h5py reads them as str.
Handle write_texts(const Handle& location, const std::string& path, const std::vector<std::string>& texts);

// Reads a dataset (N) of strings of fixed or variable length. Throws a usage Error if it is anything else.
std::vector<std::string> read_texts(const Handle& dataset);

// An attribute must not exist yet. read_… return nothing if it is missing, not a scalar, or of another type.
void write_attribute(const Handle& object, const std::string& name, const std::string& value);
void write_attribute(const Handle& object, const std::string& name, int64_t value);
void write_attribute(const Handle& object, const std::string& name, double value);
void write_attribute(const Handle& object, const std::string& name, const std::vector<std::string>& values);
// As h5py writes a bool: an enumeration of FALSE and TRUE.
void write_boolean_attribute(const Handle& object, const std::string& name, bool value);
bool has_attribute(const Handle& object, const std::string& name);
std::optional<std::string> read_text_attribute(const Handle& object, const std::string& name);
std::optional<int64_t> read_integer_attribute(const Handle& object, const std::string& name);
std::optional<double> read_double_attribute(const Handle& object, const std::string& name);
// The texts of an attribute that is a list of them; empty if it is missing or anything else.
std::vector<std::string> read_texts_attribute(const Handle& object, const std::string& name);
// All numbers of an attribute of any shape; empty if it is missing or not numeric.
std::vector<double> read_numbers_attribute(const Handle& object, const std::string& name);

}  // namespace elbo::hdf5
