// From the bytes of a chunk as they are stored to numbers.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "elbo/hdf5/storage.h"

namespace elbo {

// Undoes the filters of a piece. `bytes` holds what the file has, and afterwards bytes_of_piece() bytes,
// elements as the file has them. Throws std::runtime_error with the reason for bytes that are damaged.
// Thread-safe.
void undo_filters(const Storage& storage, uint32_t skipped, std::vector<uint8_t>& bytes);

// n elements as the file has them → float32, int64 (from integers only) or uint8 (from unsigned bytes only),
// as the library converts them.
void convert(const ElementType& from, const uint8_t* stored, int64_t n, torch::ScalarType to, void* out);

// Whether elements are in memory as in the file, so that they need no conversion.
bool same_representation(const ElementType& from, torch::ScalarType to);

}  // namespace elbo
