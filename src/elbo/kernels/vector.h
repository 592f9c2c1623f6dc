// Vectors of float32 for one instruction set, which the including file is compiled for: Vector. All
// operations round as IEEE 754 asks, so that every instruction set gives the same bits. This file includes
// nothing that has inline functions of other libraries: the linker keeps one copy of them, which might be one
// with instructions that the CPU lacks.
#pragma once
#include <stdint.h>

#if defined(ELBO_ONE_NUMBER)  // on GPUs, where each thread computes one number
#elif defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
#include <arm_neon.h>
#endif

namespace elbo {
namespace {

// select(mask, a, b): a where the mask is set, else b. minimum() and maximum() give b where a or b is NaN.
// round() goes to the nearest integer, ties to even, for |x| < 2²². scaled(x, n) is x·2ⁿ for integers n with
// -126 ≤ n ≤ 127.
#if defined(ELBO_ONE_NUMBER)

struct Vector {
  static constexpr int64_t width = 1;
  using Mask = bool;
  float value;
  static Vector load(const float* from) { return {*from}; }
  static Vector all(float x) { return {x}; }
  void store(float* to) const { *to = value; }
  friend Vector operator+(Vector a, Vector b) { return {a.value + b.value}; }
  friend Vector operator-(Vector a, Vector b) { return {a.value - b.value}; }
  friend Vector operator*(Vector a, Vector b) { return {a.value * b.value}; }
  friend Vector operator/(Vector a, Vector b) { return {a.value / b.value}; }
  friend Mask operator<(Vector a, Vector b) { return a.value < b.value; }
  static Vector fma(Vector a, Vector b, Vector c) { return {__builtin_fmaf(a.value, b.value, c.value)}; }
  static Vector minimum(Vector a, Vector b) { return a < b ? a : b; }
  static Vector maximum(Vector a, Vector b) { return b < a ? a : b; }
  static Vector select(Mask mask, Vector a, Vector b) { return mask ? a : b; }
  static Vector scaled(Vector x, Vector n) {
    const float whole = n.value > -127.0F && n.value < 128.0F ? n.value : 0.0F;  // NaN: any
    const auto exponent = static_cast<uint32_t>(static_cast<int32_t>(whole) + 127);
    return {x.value * __builtin_bit_cast(float, exponent << 23U)};
  }
  static Vector magnitude(Vector x) { return {__builtin_fabsf(x.value)}; }
};

#elif defined(__AVX512F__)

struct Vector {
  static constexpr int64_t width = 16;
  using Mask = __mmask16;
  __m512 value;
  static Vector load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static Vector all(float x) { return {_mm512_set1_ps(x)}; }
  void store(float* to) const { _mm512_storeu_ps(to, value); }
  friend Vector operator+(Vector a, Vector b) { return {_mm512_add_ps(a.value, b.value)}; }
  friend Vector operator-(Vector a, Vector b) { return {_mm512_sub_ps(a.value, b.value)}; }
  friend Vector operator*(Vector a, Vector b) { return {_mm512_mul_ps(a.value, b.value)}; }
  friend Vector operator/(Vector a, Vector b) { return {_mm512_div_ps(a.value, b.value)}; }
  friend Mask operator<(Vector a, Vector b) { return _mm512_cmp_ps_mask(a.value, b.value, _CMP_LT_OQ); }
  static Vector fma(Vector a, Vector b, Vector c) { return {_mm512_fmadd_ps(a.value, b.value, c.value)}; }
  static Vector minimum(Vector a, Vector b) { return {_mm512_min_ps(a.value, b.value)}; }
  static Vector maximum(Vector a, Vector b) { return {_mm512_max_ps(a.value, b.value)}; }
  static Vector select(Mask mask, Vector a, Vector b) {
    return {_mm512_mask_blend_ps(mask, b.value, a.value)};
  }
  static Vector scaled(Vector x, Vector n) {
    const __m512i bits =
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.value), _mm512_set1_epi32(127)), 23);
    return x * Vector{_mm512_castsi512_ps(bits)};
  }
  static Vector magnitude(Vector x) {
    return {
        _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x.value), _mm512_set1_epi32(0x7fffffff)))};
  }
};

#elif defined(__AVX2__)

struct Vector {
  static constexpr int64_t width = 8;
  using Mask = __m256;
  __m256 value;
  static Vector load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Vector all(float x) { return {_mm256_set1_ps(x)}; }
  void store(float* to) const { _mm256_storeu_ps(to, value); }
  friend Vector operator+(Vector a, Vector b) { return {_mm256_add_ps(a.value, b.value)}; }
  friend Vector operator-(Vector a, Vector b) { return {_mm256_sub_ps(a.value, b.value)}; }
  friend Vector operator*(Vector a, Vector b) { return {_mm256_mul_ps(a.value, b.value)}; }
  friend Vector operator/(Vector a, Vector b) { return {_mm256_div_ps(a.value, b.value)}; }
  friend Mask operator<(Vector a, Vector b) { return _mm256_cmp_ps(a.value, b.value, _CMP_LT_OQ); }
  static Vector fma(Vector a, Vector b, Vector c) { return {_mm256_fmadd_ps(a.value, b.value, c.value)}; }
  static Vector minimum(Vector a, Vector b) { return {_mm256_min_ps(a.value, b.value)}; }
  static Vector maximum(Vector a, Vector b) { return {_mm256_max_ps(a.value, b.value)}; }
  static Vector select(Mask mask, Vector a, Vector b) { return {_mm256_blendv_ps(b.value, a.value, mask)}; }
  static Vector scaled(Vector x, Vector n) {
    const __m256i bits =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.value), _mm256_set1_epi32(127)), 23);
    return x * Vector{_mm256_castsi256_ps(bits)};
  }
  static Vector magnitude(Vector x) {
    return {
        _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(x.value), _mm256_set1_epi32(0x7fffffff)))};
  }
};

#else

struct Vector {
  static constexpr int64_t width = 4;
  struct Mask {
    bool set[4];
  };
  float value[4];
  template <typename Function>
  static Vector each(Function&& function) {
    return {{function(0), function(1), function(2), function(3)}};
  }
  static Vector load(const float* from) { return {{from[0], from[1], from[2], from[3]}}; }
  static Vector all(float x) { return {{x, x, x, x}}; }
  void store(float* to) const {
    for (int i = 0; i < 4; ++i) to[i] = value[i];
  }
  friend Vector operator+(Vector a, Vector b) {
    return each([&](int i) { return a.value[i] + b.value[i]; });
  }
  friend Vector operator-(Vector a, Vector b) {
    return each([&](int i) { return a.value[i] - b.value[i]; });
  }
  friend Vector operator*(Vector a, Vector b) {
    return each([&](int i) { return a.value[i] * b.value[i]; });
  }
  friend Vector operator/(Vector a, Vector b) {
    return each([&](int i) { return a.value[i] / b.value[i]; });
  }
  friend Mask operator<(Vector a, Vector b) {
    return {
        {a.value[0] < b.value[0], a.value[1] < b.value[1], a.value[2] < b.value[2], a.value[3] < b.value[3]}};
  }
#if defined(__ARM_NEON) && defined(__ARM_FEATURE_FMA)
  static Vector fma(Vector a, Vector b, Vector c) {
    vst1q_f32(c.value, vfmaq_f32(vld1q_f32(c.value), vld1q_f32(a.value), vld1q_f32(b.value)));
    return c;
  }
#else
  static Vector fma(Vector a, Vector b, Vector c) {
    return each([&](int i) { return __builtin_fmaf(a.value[i], b.value[i], c.value[i]); });
  }
#endif
  static Vector minimum(Vector a, Vector b) {
    return each([&](int i) { return a.value[i] < b.value[i] ? a.value[i] : b.value[i]; });
  }
  static Vector maximum(Vector a, Vector b) {
    return each([&](int i) { return a.value[i] > b.value[i] ? a.value[i] : b.value[i]; });
  }
  static Vector select(Mask mask, Vector a, Vector b) {
    return each([&](int i) { return mask.set[i] ? a.value[i] : b.value[i]; });
  }
  static uint32_t bits(float x) {
    uint32_t result;
    __builtin_memcpy(&result, &x, 4);
    return result;
  }
  static float from_bits(uint32_t x) {
    float result;
    __builtin_memcpy(&result, &x, 4);
    return result;
  }
  static Vector scaled(Vector x, Vector n) {
    return each([&](int i) {
      const float whole = n.value[i] > -127.0F && n.value[i] < 128.0F ? n.value[i] : 0.0F;  // NaN: any
      const auto exponent = static_cast<uint32_t>(static_cast<int32_t>(whole) + 127);
      return x.value[i] * from_bits(exponent << 23U);
    });
  }
  static Vector magnitude(Vector x) {
    return each([&](int i) { return from_bits(bits(x.value[i]) & 0x7fffffffU); });
  }
};

#endif

}  // namespace
}  // namespace elbo
