// Compiled with AVX2 and FMA (src/CMakeLists.txt).
#include "elbo/kernels/product_kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

namespace elbo {
namespace {

struct Vector256 {
  static constexpr int width = 8;
  __m256 value;
  static Vector256 load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Vector256 broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static Vector256 fma(Vector256 a, Vector256 b, Vector256 c) {
    return {_mm256_fmadd_ps(a.value, b.value, c.value)};
  }
  void store(float* to) const { _mm256_storeu_ps(to, value); }
};

}  // namespace

void multiply_avx2(const ProductBlock& block) { multiply<Vector256, 6>(block); }

}  // namespace elbo
#endif
