// Compiled with AVX-512 (src/CMakeLists.txt).
#include "elbo/kernels/functions_kernel.h"

#if defined(__AVX512F__)
namespace elbo {

void map_avx512(Elementary function, const float* x, int64_t n, float* y) {
  map_by(static_cast<int>(function), x, n, y);
}

}  // namespace elbo
#endif
