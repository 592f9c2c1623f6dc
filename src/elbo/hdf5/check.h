// Helpers of the HDF5 wrapper (hdf5.h): checked results, and names for messages.
#pragma once
#include <string>

#include "elbo/base/error.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo::hdf5 {

// "file.h5: /train/x"; only the file's name for its root group.
std::string name_of(hid_t object);

// The HDF5 memory type of a tensor's elements. Throws Error for unsupported types.
hid_t memory_type(torch::ScalarType type);

// Throws Error if an HDF5 call failed, i.e. returned a negative number.
template <typename Result>
Result check(Result result, hid_t object, const char* tried) {
  if (result < 0) fail("{}: could not {}: {}", name_of(object), tried, last_reason());
  return result;
}

inline Handle checked(hid_t id, herr_t (*close)(hid_t), hid_t object, const char* tried) {
  return Handle(check(id, object, tried), close);
}

// A group or dataset of the file that `location` is or belongs to.
inline Handle made_in(const Handle& location, hid_t id, herr_t (*close)(hid_t), const char* tried) {
  return Handle(check(id, location.get(), tried), close, location);
}

}  // namespace elbo::hdf5
