#include "elbo/kernels/functions.h"

#include "elbo/kernels/functions_kernel.h"

namespace elbo {

void map(Elementary function, const float* x, int64_t n, float* y, InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::avx512) return map_avx512(function, x, n, y);
  if (set == InstructionSet::avx2) return map_avx2(function, x, n, y);
#endif
  (void)set;
  map_portable(function, x, n, y);
}

void map(Elementary function, const double* x, int64_t n, double* y, InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::avx512) return map_avx512(function, x, n, y);
  if (set == InstructionSet::avx2) return map_avx2(function, x, n, y);
#endif
  (void)set;
  map_portable(function, x, n, y);
}

void normal_numbers(const uint32_t* words, int64_t pairs, float* numbers, InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::avx512) return normal_numbers_avx512(words, pairs, numbers);
  if (set == InstructionSet::avx2) return normal_numbers_avx2(words, pairs, numbers);
#endif
  (void)set;
  normal_numbers_portable(words, pairs, numbers);
}

float bernoulli_row(const float* logits, const float* x, int64_t features, float* slope, InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::avx512) return bernoulli_row_avx512(logits, x, features, slope);
  if (set == InstructionSet::avx2) return bernoulli_row_avx2(logits, x, features, slope);
#endif
  (void)set;
  return bernoulli_row_portable(logits, x, features, slope);
}

}  // namespace elbo
