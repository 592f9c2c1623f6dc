// The functions of functions.h for the vectors of one instruction set.
#pragma once
#include "elbo/kernels/bernoulli_element.h"
#include "elbo/kernels/elementary.h"
#include "elbo/kernels/functions_scalar.h"
#include "elbo/kernels/vector.h"

namespace elbo {

void map_avx512(Elementary function, const float* x, int64_t n, float* y);
void map_avx2(Elementary function, const float* x, int64_t n, float* y);
void map_portable(Elementary function, const float* x, int64_t n, float* y);
void map_avx512(Elementary function, const double* x, int64_t n, double* y);
void map_avx2(Elementary function, const double* x, int64_t n, double* y);
void map_portable(Elementary function, const double* x, int64_t n, double* y);
void normal_numbers_avx512(const uint32_t* words, int64_t pairs, float* numbers);
void normal_numbers_avx2(const uint32_t* words, int64_t pairs, float* numbers);
void normal_numbers_portable(const uint32_t* words, int64_t pairs, float* numbers);
float bernoulli_row_avx512(const float* logits, const float* x, int64_t features, float* slope);
float bernoulli_row_avx2(const float* logits, const float* x, int64_t features, float* slope);
float bernoulli_row_portable(const float* logits, const float* x, int64_t features, float* slope);

namespace {

// The nearest integer of x, for |x| < 2²²: the last bits of a sum with 1.5·2²³ are an integer.
[[gnu::always_inline]] inline Vector nearest_integer(Vector x) {
  const Vector shift = Vector::all(0x1.8p23F);
  return (x + shift) - shift;
}

[[gnu::always_inline]] inline Vector polynomial(Vector x, const float* coefficients, int count) {
  Vector sum = Vector::all(coefficients[0]);
#pragma GCC unroll 16
  for (int i = 1; i < count; ++i) sum = Vector::fma(sum, x, Vector::all(coefficients[i]));
  return sum;
}

// eʳ - 1 - r over r² for |r| ≤ ½ log 2, by Taylor's series up to r⁷; the next term is below 2⁻²⁸ of the sum.
constexpr float exp_series[] = {1.0F / 5040, 1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 1.0F / 2};

// x = n·log 2 + r with the integer n; log 2 in two parts, the first of which has so few bits that n times it
// is exact.
[[gnu::always_inline]] inline Vector reduce(Vector x, Vector& n) {
  n = nearest_integer(x * Vector::all(1.44269504F));
  return Vector::fma(n, Vector::all(2.12194440e-4F), Vector::fma(n, Vector::all(-0.693359375F), x));
}

[[gnu::always_inline]] inline Vector exp_of(Vector x) {
  // Limits beyond which the result is infinite or 0. The order of arguments keeps NaN.
  const Vector high = Vector::all(89.0F), low = Vector::all(-104.0F);
  const Vector inside = Vector::maximum(low, Vector::minimum(high, x));
  Vector n;
  const Vector r = reduce(inside, n);
  const Vector one_plus = Vector::fma(polynomial(r, exp_series, 6), r * r, r) + Vector::all(1.0F);
  // 2ⁿ in two steps, as n reaches from -150 to 128.
  const Vector half = nearest_integer(n * Vector::all(0.5F));
  return Vector::scaled(Vector::scaled(one_plus, half), n - half);
}

// log(1 + f) for 1 + f in [√½, √2): f - f²/2 + f³·P(f), where P is the polynomial of Moshier's Cephes (logf).
constexpr float log_series[] = {7.0376836292e-2F,  -1.1514610310e-1F, 1.1676998740e-1F,
                                -1.2420140846e-1F, 1.4249322787e-1F,  -1.6668057665e-1F,
                                2.0000714765e-1F,  -2.4999993993e-1F, 3.3333331174e-1F};

[[gnu::always_inline]] inline Vector log_of_sum(Vector f, Vector exponent) {
  const Vector f2 = f * f;
  Vector y = polynomial(f, log_series, 9) * f * f2;
  y = Vector::fma(exponent, Vector::all(-2.12194440e-4F), y);
  y = Vector::fma(f2, Vector::all(-0.5F), y);
  return Vector::fma(exponent, Vector::all(0.693359375F), f + y);
}

// log(1 + e) for e in [0, 1], accurate for small e, too.
[[gnu::always_inline]] inline Vector log_one_plus(Vector e) {
  const Vector one = Vector::all(1.0F), sum = e + one;
  const auto large = Vector::all(1.41421356F) < sum;
  // 1 + e = 2·(1 + (e - 1)/2) where it is at least √2.
  const Vector f = Vector::select(large, (e - one) * Vector::all(0.5F), e);
  return log_of_sum(f, Vector::select(large, one, Vector::all(0.0F)));
}

[[gnu::always_inline]] inline Vector sigmoid_of(Vector x) {
  const Vector e = exp_of(Vector::all(0.0F) - Vector::magnitude(x)), one = Vector::all(1.0F);
  return Vector::select(x < Vector::all(0.0F), e, one) / (one + e);
}

[[gnu::always_inline]] inline Vector softplus_of(Vector x) {
  const Vector zero = Vector::all(0.0F);
  return Vector::select(zero < x, x, zero) + log_one_plus(exp_of(zero - Vector::magnitude(x)));
}

// Near 0 the odd polynomial of Moshier's Cephes (tanhf), else 1 - 2/(e²ˣ + 1).
constexpr float tanh_series[] = {-5.70498872745e-3F, 2.06390887954e-2F, -5.37397155531e-2F, 1.33314422036e-1F,
                                 -3.33332819422e-1F};

[[gnu::always_inline]] inline Vector tanh_of(Vector x) {
  const Vector zero = Vector::all(0.0F), one = Vector::all(1.0F), size = Vector::magnitude(x), x2 = x * x;
  const Vector near = Vector::fma(polynomial(x2, tanh_series, 5) * x2, x, x);
  const Vector far = one - Vector::all(2.0F) / (exp_of(size + size) + one);
  return Vector::select(size < Vector::all(0.625F), near, Vector::select(x < zero, zero - far, far));
}

template <Vector of(Vector)>
void map_each(const float* x, int64_t n, float* y) {
  int64_t i = 0;
  for (; i + Vector::width <= n; i += Vector::width) of(Vector::load(x + i)).store(y + i);
  if (i == n) return;
  float rest[Vector::width] = {};
  for (int64_t j = i; j < n; ++j) rest[j - i] = x[j];
  of(Vector::load(rest)).store(rest);
  for (int64_t j = i; j < n; ++j) y[j] = rest[j - i];
}

// By double precision, rounded once to Number.
template <typename Number>
void map_scalar_by(Elementary function, const Number* x, int64_t n, Number* y) {
  switch (function) {
    case Elementary::exp:
      return map_scalar<exp_of>(x, n, y);
    case Elementary::tanh:
      return map_scalar<tanh_of>(x, n, y);
    case Elementary::sigmoid:
      return map_scalar<sigmoid_of>(x, n, y);
    case Elementary::softplus:
      return map_scalar<softplus_of>(x, n, y);
    case Elementary::log_sigmoid:
      return map_scalar<log_sigmoid_of>(x, n, y);
    case Elementary::log:
      return map_scalar<log_of>(x, n, y);
    case Elementary::log1p:
      return map_scalar<log1p_of>(x, n, y);
    case Elementary::expm1:
      return map_scalar<expm1_of>(x, n, y);
    case Elementary::erf:
      return map_scalar<erf_of>(x, n, y);
    case Elementary::sin:
      return map_scalar<sin_of>(x, n, y);
    case Elementary::cos:
      return map_scalar<cos_of>(x, n, y);
    case Elementary::sqrt:
      return map_scalar<sqrt_of>(x, n, y);
    case Elementary::lgamma:
      return map_scalar<lgamma_of>(x, n, y);
    case Elementary::digamma:
      return map_scalar<digamma_of>(x, n, y);
  }
}

// The functions that networks spend time in are computed in float32.
inline void map_by(Elementary function, const float* x, int64_t n, float* y) {
  switch (function) {
    case Elementary::exp:
      return map_each<exp_of>(x, n, y);
    case Elementary::tanh:
      return map_each<tanh_of>(x, n, y);
    case Elementary::sigmoid:
      return map_each<sigmoid_of>(x, n, y);
    case Elementary::softplus:
      return map_each<softplus_of>(x, n, y);
    default:
      return map_scalar_by(function, x, n, y);
  }
}

}  // namespace
}  // namespace elbo
