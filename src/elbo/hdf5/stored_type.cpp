#include "elbo/hdf5/stored_type.h"

#include <bit>
#include <vector>

#include "elbo/hdf5/codecs.h"
#include "elbo/hdf5/number_types.h"

namespace elbo {
namespace {

std::optional<ElementType> floating_type(hid_t type) {
  size_t sign = 0, exponent_at = 0, exponent_bits = 0, mantissa_at = 0, mantissa_bits = 0;
  if (H5Tget_fields(type, &sign, &exponent_at, &exponent_bits, &mantissa_at, &mantissa_bits) < 0)
    return std::nullopt;
  struct Format {
    size_t size, exponent_bits, bias;
    bool brain;
  };
  for (const Format& f : {Format{2, 5, 15, false}, Format{2, 8, 127, true}, Format{4, 8, 127, false},
                          Format{8, 11, 1023, false}}) {
    const size_t mantissa = 8 * f.size - 1 - f.exponent_bits;
    if (H5Tget_size(type) == f.size && sign == 8 * f.size - 1 && exponent_at == mantissa &&
        exponent_bits == f.exponent_bits && mantissa_at == 0 && mantissa_bits == mantissa &&
        H5Tget_ebias(type) == f.bias && H5Tget_norm(type) == H5T_NORM_IMPLIED)
      return ElementType{.kind = ElementType::Kind::floating,
                         .size = static_cast<int>(f.size),
                         .swapped = false,
                         .brain_float = f.brain};
  }
  return std::nullopt;
}

// Parameters: version (two numbers), element size, elements of a block or 0, compression, its level. None if
// only the library supports them.
std::optional<Filter> bitshuffle_filter(const std::vector<unsigned>& parameters, size_t element_size) {
  constexpr unsigned none = 0, lz4 = 2, zstd = 3;
  if (parameters.size() < 3 || parameters[2] != element_size) return std::nullopt;
  const unsigned compression = parameters.size() > 4 ? parameters[4] : none;
  if (compression == lz4 && has_codecs()) return Filter::bitshuffle_lz4;
  if (compression == zstd && has_codecs()) return Filter::bitshuffle_zstd;
  const bool usual_blocks = parameters.size() < 4 || parameters[3] == 0;
  return compression == none && usual_blocks ? std::optional(Filter::bitshuffle) : std::nullopt;
}

}  // namespace

std::optional<ElementType> element_type(hid_t type) {
  const size_t size = H5Tget_size(type);
  if (H5Tget_offset(type) != 0 || H5Tget_precision(type) != 8 * size) return std::nullopt;
  const H5T_order_t order = H5Tget_order(type);
  if (order != H5T_ORDER_LE && order != H5T_ORDER_BE) return std::nullopt;
  std::optional<ElementType> found;
  const hdf5::NumberType number = hdf5::number_type(type);
  if (number.type_class == H5T_FLOAT) {
    found = floating_type(type);
  } else if (number.type_class == H5T_INTEGER && std::has_single_bit(size) && size <= 8) {
    found = ElementType{
        .kind = number.is_signed ? ElementType::Kind::signed_integer : ElementType::Kind::unsigned_integer,
        .size = static_cast<int>(size),
        .swapped = false,
        .brain_float = false};
  }
  const bool little = order == H5T_ORDER_LE;
  if (found) found->swapped = size > 1 && little != (std::endian::native == std::endian::little);
  return found;
}

// The numbers are registered with The HDF Group.
std::optional<Filter> known_filter(const hdf5::DatasetInfo::FilterInfo& filter, size_t element_size) {
  const auto codec = [](Filter known) { return has_codecs() ? std::optional(known) : std::nullopt; };
  switch (filter.id) {
    case H5Z_FILTER_DEFLATE:
      return Filter::deflate;
    case H5Z_FILTER_SHUFFLE:
      return Filter::shuffle;
    case H5Z_FILTER_FLETCHER32:
      return Filter::fletcher32;
    case 32000:  // h5py
      return Filter::lzf;
    case 32001:
      return codec(Filter::blosc);
    case 32004:
      return codec(Filter::lz4);
    case 32008:
      return bitshuffle_filter(filter.parameters, element_size);
    case 32015:
      return codec(Filter::zstd);
    default:
      return std::nullopt;
  }
}

}  // namespace elbo
