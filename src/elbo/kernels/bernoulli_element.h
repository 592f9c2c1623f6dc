// An element of the Bernoulli log likelihood with its derivative, for CPUs and GPUs. This file includes
// nothing of other libraries (see vector.h).
#pragma once
#include <stdint.h>

namespace elbo {
namespace {

// e⁻ᵃ for a ≥ 0, to 2 units in the last place (Cody & Waite's reduction, the polynomial of Moshier's Cephes).
// The result is at least e⁻⁸⁷.
[[gnu::always_inline]] inline float exp_of_negative(float a) {
  const float t = a < 87.0F ? -a : -87.0F;
  constexpr float shift = 0x1.8p23F;  // the last bits of a sum with it are the nearest integer
  const float shifted = t * 1.44269504F + shift;
  const float n = shifted - shift;
  const float r = (t - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float mantissa = p * (r * r) + r + 1.0F;
  return mantissa * __builtin_bit_cast(float, (__builtin_bit_cast(uint32_t, shifted) + 127U) << 23U);
}

// log(1 + e) for e in [0, 1]: 2 artanh(e/(2 + e)), with e/(2 + e) ≤ 1/3. The series ends where its terms fall
// below 1e-8 of the result.
[[gnu::always_inline]] inline float log_of_one_and(float e) {
  const float s = e / (2.0F + e);
  const float q = s * s;
  float p = 1.0F / 13;
  p = p * q + 1.0F / 11;
  p = p * q + 1.0F / 9;
  p = p * q + 1.0F / 7;
  p = p * q + 1.0F / 5;
  p = p * q + 1.0F / 3;
  return 2.0F * s + 2.0F * s * (q * p);
}

struct BernoulliElement {
  float log_prob, slope;  // x·l - log(1 + eˡ), and its derivative in the logit l
};

[[gnu::always_inline]] inline BernoulliElement bernoulli_element(float logit, float x) {
  const float e = exp_of_negative(__builtin_fabsf(logit));
  const float inverse = 1.0F / (1.0F + e);
  const float positive = logit > 0 ? logit : 0.0F;
  const float sigmoid = logit > 0 ? inverse : e * inverse;
  return {(x * logit - positive) - log_of_one_and(e), x - sigmoid};
}

}  // namespace
}  // namespace elbo
