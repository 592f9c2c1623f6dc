// An element of Adam's update, for CPUs and GPUs. This file includes nothing of other libraries (see
// vector.h).
#pragma once

namespace elbo {

// The constants of an Adam update, computed once in double precision.
struct AdamFactors {
  float decay;   // multiplies the parameter: decoupled weight decay
  float l2;      // multiplies the parameter, added to the gradient
  float first;   // 1 - β₁
  float second;  // 1 - β₂
  float beta2;
  float step;        // learning rate / bias correction of the first moment
  float correction;  // 1 / √(bias correction of the second moment)
  float epsilon;
};

namespace {

[[gnu::always_inline]] inline void adam_element(const AdamFactors& f, float gradient, float& parameter,
                                                float& exp_avg, float& exp_avg_sq) {
  const float g = gradient + f.l2 * parameter;
  const float m = exp_avg + f.first * (g - exp_avg);
  const float v = f.beta2 * exp_avg_sq + f.second * g * g;
  exp_avg = m;
  exp_avg_sq = v;
  parameter = f.decay * parameter - f.step * m / (__builtin_sqrtf(v) * f.correction + f.epsilon);
}

}  // namespace
}  // namespace elbo
