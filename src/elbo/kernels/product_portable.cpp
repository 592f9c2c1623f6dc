// For CPUs without vector instructions that we know: NEON where the compiler has it, else one element at a
// time. Without a fused multiply-add in the CPU, the C library computes it, slowly.
#include "elbo/kernels/product_kernel.h"

#if defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
#include <arm_neon.h>
#endif

namespace elbo {
namespace {

struct Vector128 {
  static constexpr int width = 4;
#if defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
  float32x4_t value;
  static Vector128 load(const float* from) { return {vld1q_f32(from)}; }
  static Vector128 broadcast(float x) { return {vdupq_n_f32(x)}; }
  static Vector128 fma(Vector128 a, Vector128 b, Vector128 c) {
    return {vfmaq_f32(c.value, a.value, b.value)};
  }
  void store(float* to) const { vst1q_f32(to, value); }
#else
  float value[4];
  static Vector128 load(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }
  static Vector128 broadcast(float x) { return {{x, x, x, x}}; }
  static Vector128 fma(Vector128 a, Vector128 b, Vector128 c) {
    for (int i = 0; i < 4; ++i) c.value[i] = __builtin_fmaf(a.value[i], b.value[i], c.value[i]);
    return c;
  }
  void store(float* to) const {
    for (int i = 0; i < 4; ++i) to[i] = value[i];
  }
#endif
};

}  // namespace

void multiply_portable(const ProductBlock& block) { multiply<Vector128, 4>(block); }

}  // namespace elbo
