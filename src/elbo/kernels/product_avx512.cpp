// Compiled with AVX-512 (src/CMakeLists.txt).
#include "elbo/kernels/product_kernel.h"

#if defined(__AVX512F__)
#include <immintrin.h>

namespace elbo {
namespace {

struct Vector512 {
  static constexpr int width = 16;
  __m512 value;
  static Vector512 load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static Vector512 broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static Vector512 fma(Vector512 a, Vector512 b, Vector512 c) {
    return {_mm512_fmadd_ps(a.value, b.value, c.value)};
  }
  void store(float* to) const { _mm512_storeu_ps(to, value); }
};

}  // namespace

void multiply_avx512(const ProductBlock& block) { multiply<Vector512, 12>(block); }

}  // namespace elbo
#endif
