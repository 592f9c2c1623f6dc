// Elementary functions with one definition: polynomials of fused multiply-adds, and operations that IEEE 754
// rounds in one way. So the bits do not depend on the CPU. docs/reproducibility.md has the largest errors.
#pragma once
#include <cstdint>

#include "elbo/kernels/instruction_set.h"

namespace elbo {

enum class Elementary : uint8_t {
  exp,
  tanh,
  sigmoid,   // 1/(1 + e⁻ˣ)
  softplus,  // log(1 + eˣ)
};

// y_i = function(x_i) for n elements. x and y may be the same. NaN stays NaN; results below the smallest
// normal float32 may be 0. Thread-safe.
void map(Elementary function, const float* x, int64_t n, float* y, InstructionSet set = instruction_set());

}  // namespace elbo
