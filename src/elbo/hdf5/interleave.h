// The inverse of byte shuffling.
#pragma once
#include <cstddef>
#include <cstdint>

namespace elbo {

// planes: byte 0 of all n elements, then byte 1 of all, …. out: the elements, n · element_size bytes that do
// not overlap with planes.
void interleave(const uint8_t* planes, size_t n, size_t element_size, uint8_t* out);

}  // namespace elbo
