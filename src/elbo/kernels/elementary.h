// The elementary functions of functions.h. This file includes nothing of other libraries (see vector.h).
#pragma once
#include <stdint.h>

namespace elbo {

enum class Elementary : uint8_t {
  exp,
  tanh,
  sigmoid,      // 1/(1 + e⁻ˣ)
  softplus,     // log(1 + eˣ)
  log_sigmoid,  // -log(1 + e⁻ˣ)
  log,
  log1p,
  expm1,
  erf,
  sin,  // |x| ≤ 2²⁰
  cos,
  sqrt,
  lgamma,   // log Γ(x), x > 0
  digamma,  // its derivative, x > 0
};

}  // namespace elbo
