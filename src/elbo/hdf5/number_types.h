// Types that are stored like integers and mean numbers: enumerations, among them the booleans of h5py, and
// bits of one byte, the booleans of PyTables.
#pragma once
#include <hdf5.h>

namespace elbo::hdf5 {

struct NumberType {
  H5T_class_t type_class = H5T_NO_CLASS;  // H5T_INTEGER for all that are stored like integers
  bool is_signed = true;
  bool is_number() const { return type_class == H5T_INTEGER || type_class == H5T_FLOAT; }
};

// An enumeration of bytes is unsigned unless one of its values is negative.
NumberType number_type(hid_t type);

// Teaches the library to convert bits of one byte to the types of tensors, which it cannot by itself. Returns
// whether that succeeded. Called once, by lock().
bool register_conversions_of_bits();

}  // namespace elbo::hdf5
