// Elementary functions of one double, in operations that IEEE 754 rounds in one way. The compiler computes
// several side by side: nothing here branches.
#pragma once
#include <stdint.h>

namespace elbo {
namespace {

inline uint64_t bits_of(double x) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

inline double from_bits(uint64_t bits) {
  double x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

// The last bits of a sum with it are the nearest integer, for |x| < 2⁵¹.
constexpr double to_integer = 0x1.8p52;
// log 2 in two parts, the first of which has so few bits that its product with an exponent is exact.
constexpr double log_2_high = 6.93147180369123816490e-01, log_2_low = 1.90821492927058770002e-10;
constexpr double infinite = __builtin_inf(), not_a_number = __builtin_nan("");

template <int count>
inline double polynomial(double x, const double (&coefficients)[count]) {
  double sum = coefficients[0];
#pragma GCC unroll 20
  for (int i = 1; i < count; ++i) sum = sum * x + coefficients[i];
  return sum;
}

inline double magnitude(double x) { return __builtin_fabs(x); }

// x·2ⁿ for the n that was added to to_integer, -1022 ≤ n ≤ 1023.
inline double scaled(double x, double shifted) { return x * from_bits((bits_of(shifted) + 1023) << 52); }

// 1/15! … 1/2!: (eʳ - 1 - r)/r².
constexpr double exp_terms[] = {
    1.0 / 1307674368000, 1.0 / 87178291200, 1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800,
    1.0 / 3628800,       1.0 / 362880,      1.0 / 40320,      1.0 / 5040,      1.0 / 720,
    1.0 / 120,           1.0 / 24,          1.0 / 6,          1.0 / 2};

inline double exp_of(double x) {
  const double below = x < -745.2 ? -745.2 : x, t = below > 709.8 ? 709.8 : below;
  const double n = (t * 1.4426950408889634 + to_integer) - to_integer;
  const double r = (t - n * log_2_high) - n * log_2_low;
  const double y = polynomial(r, exp_terms) * (r * r) + r + 1;
  // In two steps, as n is from -1075 to 1024.
  const double half = n * 0.5 + to_integer, rest = (n - (half - to_integer)) + to_integer;
  return scaled(scaled(y, half), rest);
}

inline double expm1_of(double x) {
  const double near = polynomial(x, exp_terms) * (x * x) + x;
  return magnitude(x) < 0.5 ? near : exp_of(x) - 1;
}

// The reduction and the polynomial of FreeBSD's e_log.c: log(1 + f) with s = f/(2 + f).
constexpr double log_terms[] = {1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
                                2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
                                6.666666666666735130e-01};

inline double log_of(double x) {
  const bool tiny = x < 0x1p-1022;
  const uint64_t bits = bits_of(tiny ? x * 0x1p54 : x);
  // x = 2ᵏ·m with √½ ≤ m < √2.
  const uint64_t above = bits - 0x3fe6a09e667f3bcdU;
  const uint64_t exponent = ((above >> 52) ^ 0x800U) - 0x800U;
  const double k = (from_bits(exponent + bits_of(to_integer)) - to_integer) - (tiny ? 54.0 : 0.0);
  const double f = from_bits(bits - (above & 0xfff0000000000000U)) - 1;
  const double s = f / (2 + f), z = s * s, half = 0.5 * f * f;
  const double y =
      k * log_2_high - ((half - (s * (half + polynomial(z, log_terms) * z) + k * log_2_low)) - f);
  const double finite = x > 0 ? y : (x == 0 ? -infinite : not_a_number);
  return x == infinite ? x : finite;
}

// The logarithm of the rounded sum, and what rounding took from it.
inline double log1p_of(double x) {
  const double sum = 1 + x, lost = (x - (sum - 1)) / sum;
  const double y = log_of(sum);
  const bool corrects = sum > 0 && sum < infinite;
  return y + (corrects ? lost : 0.0);
}

inline double sigmoid_of(double x) {
  const double e = exp_of(-magnitude(x));
  return (x < 0 ? e : 1.0) / (1 + e);
}

inline double softplus_of(double x) { return (x < 0 ? 0.0 : x) + log1p_of(exp_of(-magnitude(x))); }
inline double log_sigmoid_of(double x) { return -softplus_of(-x); }

inline double tanh_of(double x) {
  const double size = magnitude(x), e = expm1_of(2 * (size > 22 ? 22.0 : size)), y = e / (e + 2);
  return x < 0 ? -y : y;
}

// erf(x)/x for |x| < 2 in (x² - 2)/2, and erfc(x)·exp(x²) for larger x in 1/x: Chebyshev's interpolations, to
// 1e-13.
constexpr double erf_near[] = {1.1471759838362534e-09, -9.151335689239204e-09,  6.126945966874098e-08,
                               -4.03713746284969e-07,  2.475654580328761e-06,   -1.394687415938733e-05,
                               7.180112007098375e-05,  -0.00033514329179074785, 0.0014050913837546845,
                               -0.005234875885964928,  0.01712834457830662,     -0.0486627774446434,
                               0.11947913860947144,    -0.2611118609313638,     0.6749332360396585};
constexpr double erf_far[] = {1.4286288063658504e-08,  -1.802830663422128e-07, 7.527425589515244e-07,
                              -2.0188475122751022e-07, -1.877248667412346e-05, 0.00013432221656723973,
                              -0.0002520541459953951,  -0.005191431046462503,  0.08303884360384281,
                              0.17768438330236316};

inline double erf_of(double x) {
  const double size = magnitude(x), bounded = size > 6 ? 6.0 : size;
  const double near = x * polynomial((x * x - 2) * 0.5, erf_near);
  const double middle = 0.33064516129032256, width = 0.16935483870967744;
  const double far = 1 - exp_of(-bounded * bounded) * polynomial((1 / bounded - middle) / width, erf_far);
  return size < 2 ? near : (x < 0 ? -far : far);
}

// Taylor's series for |r| ≤ π/4, in r².
constexpr double sin_terms[] = {
    1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800,
    1.0 / 362880,          -1.0 / 5040,          1.0 / 120,        -1.0 / 6};
constexpr double cos_terms[] = {1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800,
                                1.0 / 40320,          -1.0 / 720,         1.0 / 24,        -0.5};

inline double sin_near(double r) { return polynomial(r * r, sin_terms) * (r * r) * r + r; }
inline double cos_near(double r) { return polynomial(r * r, cos_terms) * (r * r) + 1; }

// sin(r + quarters·π/2), where the quarters were added to to_integer.
inline double sin_of_quarters(double r, double quarters) {
  const uint64_t q = bits_of(quarters);
  const double y = (q & 1U) != 0 ? cos_near(r) : sin_near(r);
  return (q & 2U) != 0 ? -y : y;
}

// π/2 in two parts, the first of 33 bits.
inline double quarter_turns(double x, double& r) {
  const double shifted = x * 0.6366197723675814 + to_integer, n = shifted - to_integer;
  r = (x - n * 1.57079632673412561417e+00) - n * 6.07710050650619224932e-11;
  return shifted;
}

inline double sin_of(double x) {
  double r;
  const double quarters = quarter_turns(x, r);
  return sin_of_quarters(r, quarters);
}

inline double cos_of(double x) {
  double r;
  const double quarters = quarter_turns(x, r);
  return sin_of_quarters(r, quarters + 1);
}

inline double sqrt_of(double x) { return __builtin_sqrt(x); }

// Stirling's series at x ≥ 8, to which smaller x are shifted: Γ(x + 8) = x (x+1) … (x+7) Γ(x).
constexpr double lgamma_terms[] = {1.0 / 156,  -691.0 / 360360, 1.0 / 1188, -1.0 / 1680,
                                   1.0 / 1260, -1.0 / 360,      1.0 / 12};

inline double lgamma_of(double x) {
  const bool small = x < 8;
  const double y = small ? x + 8 : x, inverse = 1 / y;
  double steps = x;
#pragma GCC unroll 8
  for (int i = 1; i < 8; ++i) steps *= x + i;
  const double series = (y - 0.5) * log_of(y) - y + 0.91893853320467274178 +
                        polynomial(inverse * inverse, lgamma_terms) * inverse;
  const double result = series - log_of(small ? steps : 1.0);
  const double positive = x == infinite ? x : result;
  return x > 0 ? positive : (x == 0 ? infinite : not_a_number);
}

constexpr double digamma_terms[] = {-1.0 / 12,  691.0 / 32760, -1.0 / 132, 1.0 / 240,
                                    -1.0 / 252, 1.0 / 120,     -1.0 / 12};

inline double digamma_of(double x) {
  const bool small = x < 8;
  const double y = small ? x + 8 : x, inverse = 1 / y, square = inverse * inverse;
  double steps = 0;
#pragma GCC unroll 8
  for (int i = 7; i >= 0; --i) steps += 1 / (x + i);
  const double result =
      log_of(y) - 0.5 * inverse + polynomial(square, digamma_terms) * square - (small ? steps : 0.0);
  return x > 0 ? result : (x == 0 ? -infinite : not_a_number);
}

template <double of(double), typename Number>
void map_scalar(const Number* x, int64_t n, Number* y) {
#ifndef __clang__  // which does not know it
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<Number>(of(static_cast<double>(x[i])));
}

// See normal_numbers(). An angle in quarters of a turn is exact.
inline void normal_pairs(const uint32_t* words, int64_t pairs, float* numbers) {
  for (int64_t i = 0; i < pairs; ++i) {
    const auto a = static_cast<double>(static_cast<int32_t>(words[2 * i] >> 8U));
    const auto b = static_cast<double>(static_cast<int32_t>(words[2 * i + 1] >> 8U));
    const double radius = sqrt_of(-2 * log_of((a + 1) * 0x1p-24));
    const double turn = b * 0x1p-22, quarters = turn + to_integer;
    const double angle = (turn - (quarters - to_integer)) * 1.57079632679489661923;
    numbers[2 * i] = static_cast<float>(radius * sin_of_quarters(angle, quarters + 1));
    numbers[2 * i + 1] = static_cast<float>(radius * sin_of_quarters(angle, quarters));
  }
}

}  // namespace
}  // namespace elbo
