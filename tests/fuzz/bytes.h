// The first bytes of an input select options from these tables. Seeds are written with the same tables.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "elbo/hdf5/storage.h"

namespace elbo::fuzz {

// Reads an input byte by byte. After its end, all bytes are zero.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  uint8_t next() { return at_ < end_ ? *at_++ : uint8_t{0}; }
  template <typename Table>
  const auto& choose(const Table& table) {
    return table[next() % table.size()];
  }
  std::vector<uint8_t> rest() const { return {at_, end_}; }

 private:
  const uint8_t *at_, *end_;
};

inline std::vector<ElementType> element_types() {
  using enum ElementType::Kind;
  std::vector<ElementType> types;
  for (const bool swapped : {false, true}) {
    for (const int size : {1, 2, 4, 8})
      for (const auto kind : {unsigned_integer, signed_integer})
        types.push_back({.kind = kind, .size = size, .swapped = swapped && size > 1});
    for (const int size : {2, 4, 8}) types.push_back({.kind = floating, .size = size, .swapped = swapped});
    types.push_back({.kind = floating, .size = 2, .swapped = swapped, .brain_float = true});
  }
  return types;
}

inline std::vector<std::vector<Filter>> pipelines() {
  using enum Filter;
  return {{},
          {deflate},
          {shuffle, deflate},
          {shuffle, deflate, fletcher32},
          {shuffle, lzf},
          {fletcher32},
          {lzf, deflate},
          {fletcher32, deflate, shuffle},
          {zstd},
          {shuffle, lz4},
          {blosc},
          {bitshuffle, zstd},
          {bitshuffle_zstd},
          {bitshuffle_lz4},
          {lz4, zstd}};
}

}  // namespace elbo::fuzz
