// Compiled with AVX2 and FMA (src/CMakeLists.txt).
#include "elbo/kernels/functions_kernel.h"

#if defined(__AVX2__)
namespace elbo {

void map_avx2(Elementary function, const float* x, int64_t n, float* y) { map_by(function, x, n, y); }
void map_avx2(Elementary function, const double* x, int64_t n, double* y) {
  map_scalar_by(function, x, n, y);
}
void normal_numbers_avx2(const uint32_t* words, int64_t pairs, float* numbers) {
  normal_pairs(words, pairs, numbers);
}
float bernoulli_row_avx2(const float* logits, const float* x, int64_t features, float* slope) {
  return bernoulli_row_by(logits, x, features, slope);
}

}  // namespace elbo
#endif
