#include "elbo/hdf5/number_types.h"

#include <cstdint>
#include <cstring>

namespace elbo::hdf5 {
namespace {

bool has_negative_value(hid_t enumeration) {
  const int members = H5Tget_nmembers(enumeration);
  for (int i = 0; i < members; ++i) {
    int8_t value = 0;
    if (H5Tget_member_value(enumeration, static_cast<unsigned>(i), &value) < 0 || value < 0) return true;
  }
  return false;
}

// Converts in place; stride: bytes between elements, 0 if they follow one another.
template <typename Number>
herr_t convert_bits(hid_t, hid_t, H5T_cdata_t* call, size_t count, size_t stride, size_t, void* buffer, void*,
                    hid_t) {
  if (call->command != H5T_CONV_CONV) return 0;
  auto* bytes = static_cast<uint8_t*>(buffer);
  const size_t from = stride > 0 ? stride : 1, to = stride > 0 ? stride : sizeof(Number);
  for (size_t i = count; i-- > 0;) {  // the last one first: numbers are larger than bits
    const auto number = static_cast<Number>(bytes[i * from]);
    std::memcpy(bytes + i * to, &number, sizeof number);
  }
  return 0;
}

}  // namespace

NumberType number_type(hid_t type) {
  const H5T_class_t stored = H5Tget_class(type);
  const bool byte = H5Tget_size(type) == 1;
  if (stored == H5T_BITFIELD && byte) return {H5T_INTEGER, false};
  if (stored == H5T_ENUM)
    return {H5T_INTEGER, H5Tget_sign(type) == H5T_SGN_2 && !(byte && !has_negative_value(type))};
  return {stored, stored != H5T_INTEGER || H5Tget_sign(type) == H5T_SGN_2};
}

bool register_conversions_of_bits() {
  const auto add = [](const char* name, hid_t number, H5T_conv_t convert) {
    return H5Tregister(H5T_PERS_HARD, name, H5T_STD_B8LE, number, convert) >= 0;
  };
  return add("bits to float", H5T_NATIVE_FLOAT, convert_bits<float>) &&
         add("bits to double", H5T_NATIVE_DOUBLE, convert_bits<double>) &&
         add("bits to int64", H5T_NATIVE_INT64, convert_bits<int64_t>) &&
         add("bits to uint8", H5T_NATIVE_UINT8, convert_bits<uint8_t>);
}

}  // namespace elbo::hdf5
