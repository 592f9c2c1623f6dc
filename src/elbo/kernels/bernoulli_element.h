// The Bernoulli log likelihood with its derivative, for the vectors of one instruction set and for GPUs,
// whose vectors have one number. This file includes nothing of other libraries (see vector.h).
#pragma once
#include "elbo/kernels/vector.h"

namespace elbo {
namespace {

// e⁻ᵃ for a ≥ 0, to 2 units in the last place (Cody & Waite's reduction, the polynomial of Moshier's Cephes).
// The result is at least e⁻⁸⁷.
[[gnu::always_inline]] inline Vector exp_of_negative(Vector a) {
  const Vector limit = Vector::all(87.0F);
  const Vector t = Vector::select(a < limit, Vector::all(0.0F) - a, Vector::all(-87.0F));
  const Vector shift = Vector::all(0x1.8p23F);  // the last bits of a sum with it are the nearest integer
  const Vector n = (t * Vector::all(1.44269504F) + shift) - shift;
  const Vector r = (t - n * Vector::all(0.693359375F)) + n * Vector::all(2.12194440e-4F);
  Vector p = Vector::all(1.9875691500e-4F);
  p = p * r + Vector::all(1.3981999507e-3F);
  p = p * r + Vector::all(8.3334519073e-3F);
  p = p * r + Vector::all(4.1665795894e-2F);
  p = p * r + Vector::all(1.6666665459e-1F);
  p = p * r + Vector::all(5.0000001201e-1F);
  return Vector::scaled(p * (r * r) + r + Vector::all(1.0F), n);
}

// log(1 + e) for e in [0, 1]: 2 artanh(e/(2 + e)), with e/(2 + e) ≤ 1/3. The series ends where its terms fall
// below 1e-8 of the result.
[[gnu::always_inline]] inline Vector log_of_one_and(Vector e) {
  const Vector two = Vector::all(2.0F);
  const Vector s = e / (two + e);
  const Vector q = s * s;
  Vector p = Vector::all(1.0F / 13);
  p = p * q + Vector::all(1.0F / 11);
  p = p * q + Vector::all(1.0F / 9);
  p = p * q + Vector::all(1.0F / 7);
  p = p * q + Vector::all(1.0F / 5);
  p = p * q + Vector::all(1.0F / 3);
  return two * s + two * s * (q * p);
}

struct BernoulliElement {
  Vector log_prob, slope;  // x·l - log(1 + eˡ), and its derivative in the logit l
};

[[gnu::always_inline]] inline BernoulliElement bernoulli_element(Vector logit, Vector x) {
  const Vector zero = Vector::all(0.0F), one = Vector::all(1.0F);
  const Vector e = exp_of_negative(Vector::magnitude(logit));
  const Vector inverse = one / (one + e);
  const Vector above = Vector::select(zero < logit, logit, zero);
  const Vector sigmoid = Vector::select(zero < logit, inverse, e * inverse);
  return {(x * logit - above) - log_of_one_and(e), x - sigmoid};
}

// One row: returns its log likelihood, of sums over every 16th element, and writes the slopes.
inline float bernoulli_row_by(const float* logits, const float* x, int64_t features, float* slope) {
  constexpr int64_t lanes = 16, vectors = lanes / Vector::width;
  float sums[lanes] = {};
  Vector sum[vectors];
  for (Vector& part : sum) part = Vector::all(0.0F);
  int64_t i = 0;
  for (; i + lanes <= features; i += lanes)
#pragma GCC unroll 4
    for (int64_t j = 0; j < vectors; ++j) {
      const int64_t at = i + j * Vector::width;
      const BernoulliElement here = bernoulli_element(Vector::load(logits + at), Vector::load(x + at));
      sum[j] = sum[j] + here.log_prob;
      here.slope.store(slope + at);
    }
  for (int64_t j = 0; j < vectors; ++j) sum[j].store(sums + j * Vector::width);
  float rest_logits[lanes] = {}, rest_x[lanes] = {}, rest_log_prob[lanes], rest_slope[lanes];
  const int64_t rest = features - i;
  for (int64_t j = 0; j < rest; ++j) {
    rest_logits[j] = logits[i + j];
    rest_x[j] = x[i + j];
  }
  for (int64_t j = 0; j < rest; j += Vector::width) {
    const BernoulliElement here = bernoulli_element(Vector::load(rest_logits + j), Vector::load(rest_x + j));
    here.log_prob.store(rest_log_prob + j);
    here.slope.store(rest_slope + j);
  }
  for (int64_t j = 0; j < rest; ++j) {
    sums[j] += rest_log_prob[j];
    slope[i + j] = rest_slope[j];
  }
  double total = 0;
  for (const float part : sums) total += static_cast<double>(part);
  return static_cast<float>(total);
}

}  // namespace
}  // namespace elbo
