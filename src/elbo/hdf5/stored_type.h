// The types of elements and the filters that are read without the HDF5 library.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "elbo/hdf5/hdf5.h"

namespace elbo {

// The type of the stored elements.
struct ElementType {
  enum class Kind : uint8_t { unsigned_integer, signed_integer, floating };
  Kind kind = Kind::unsigned_integer;
  int size = 1;              // bytes: integers 1, 2, 4, 8; floats 2, 4, 8
  bool swapped = false;      // byte order differs from this CPU's
  bool brain_float = false;  // two bytes: bfloat16 instead of IEEE binary16
};

enum class Filter : uint8_t {
  deflate,
  shuffle,
  fletcher32,
  lzf,
  zstd,
  lz4,
  blosc,
  bitshuffle,
  bitshuffle_zstd,
  bitshuffle_lz4
};

// None for a type that only the library converts, e.g. integers of 24 bits or with padding.
std::optional<ElementType> element_type(hid_t type);

// None for a filter that only the library supports.
std::optional<Filter> known_filter(const hdf5::DatasetInfo::FilterInfo& filter, size_t element_size);

}  // namespace elbo
