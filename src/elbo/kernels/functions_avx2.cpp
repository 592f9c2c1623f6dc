// Compiled with AVX2 and FMA (src/CMakeLists.txt).
#include "elbo/kernels/functions_kernel.h"

#if defined(__AVX2__)
namespace elbo {

void map_avx2(Elementary function, const float* x, int64_t n, float* y) {
  map_by(static_cast<int>(function), x, n, y);
}

}  // namespace elbo
#endif
