// Decoding of stored chunks: filters and element types.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/hdf5/bytes.h"
#include "elbo/hdf5/storage.h"

namespace elbo {

// Decodes the filters of a chunk in place: `bytes` is the stored chunk, and afterwards its
// storage.chunk_bytes() bytes of elements in the file's type. Throws std::runtime_error with the reason if
// they are damaged. Thread-safe.
void undo_filters(const Storage& storage, uint32_t filter_mask, Bytes& bytes);

// Converts n elements to float32, float64, int64 (from integers only) or uint8 (from unsigned bytes only), as
// the HDF5 library does.
void convert(const ElementType& from, const uint8_t* stored, int64_t n, torch::ScalarType to, void* out);

// Whether the representation in memory equals that in the file, so that no conversion is needed.
bool same_representation(const ElementType& from, torch::ScalarType to);

}  // namespace elbo
