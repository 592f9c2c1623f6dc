// Filters that HDF5 programs load as plugins (hdf5plugin, PyTables): zstd (32015), lz4 (32004), bitshuffle
// (32008) and Blosc (32001). codecs.cpp uses the libraries that compress; no_codecs.cpp stands for it where
// they were not found at build time.
//
// Each function replaces a filter's output by its input, of at most `limit` bytes. Throws std::runtime_error
// with the reason if the bytes are damaged. Thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

#include "elbo/hdf5/bytes.h"

namespace elbo {

bool has_codecs();

void expand_zstd(Bytes& bytes, size_t limit);
void expand_lz4(Bytes& bytes, size_t limit);
void expand_blosc(Bytes& bytes, size_t limit);

// Bitshuffle (Masui et al. 2015): in blocks of elements, bit b of all elements, then bit b+1 of all, …; each
// block is compressed by itself, or none is.
void expand_bitshuffle_zstd(Bytes& bytes, size_t element_size, size_t limit);
void expand_bitshuffle_lz4(Bytes& bytes, size_t element_size, size_t limit);
void undo_bitshuffle(Bytes& bytes, size_t element_size);

// Decompresses `in` to exactly out_size bytes. False if it is damaged.
using Decompress = std::function<bool(const uint8_t* in, size_t in_size, uint8_t* out, size_t out_size)>;
void expand_bitshuffle(Bytes& bytes, size_t element_size, size_t limit, const Decompress& decompress);

// An integer of n bytes, big-endian.
inline uint64_t big_endian(const uint8_t* bytes, int n) {
  uint64_t value = 0;
  for (int i = 0; i < n; ++i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace elbo
