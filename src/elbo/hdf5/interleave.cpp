#include "elbo/hdf5/interleave.h"

#include "elbo/base/vectorize.h"

namespace elbo {
namespace {

// A size that is known at compile time makes the loop one of permutations of registers.
template <size_t size>
inline void interleave_known(const uint8_t* __restrict planes, size_t n, uint8_t* __restrict out) {
  for (size_t i = 0; i < n; ++i)
    for (size_t byte = 0; byte < size; ++byte) out[i * size + byte] = planes[byte * n + i];
}

}  // namespace

ELBO_VECTORIZE void interleave(const uint8_t* planes, size_t n, size_t element_size, uint8_t* out) {
  switch (element_size) {
    case 2:
      return interleave_known<2>(planes, n, out);
    case 4:
      return interleave_known<4>(planes, n, out);
    case 8:
      return interleave_known<8>(planes, n, out);
    default:
      for (size_t byte = 0; byte < element_size; ++byte)
        for (size_t i = 0; i < n; ++i) out[i * element_size + byte] = planes[byte * n + i];
  }
}

}  // namespace elbo
