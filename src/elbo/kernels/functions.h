// Elementary functions with one definition: polynomials of fused multiply-adds, and operations that IEEE 754
// rounds in one way. So the bits do not depend on the CPU. docs/reproducibility.md has the largest errors.
#pragma once
#include <cstdint>

#include "elbo/kernels/elementary.h"
#include "elbo/kernels/instruction_set.h"

namespace elbo {

// y_i = function(x_i) for n elements. x and y may be the same. NaN stays NaN, and an argument outside of the
// domain gives NaN; results below the smallest normal number may be 0. Thread-safe.
void map(Elementary function, const float* x, int64_t n, float* y, InstructionSet set = instruction_set());
void map(Elementary function, const double* x, int64_t n, double* y, InstructionSet set = instruction_set());

// 2·pairs standard normal numbers from as many random words, by the method of Box & Muller 1958: of the words
// a and b,
//
//   r = √(-2 log((⌊a/2⁸⌋ + 1)/2²⁴)),  φ = 2π ⌊b/2⁸⌋/2²⁴:  r cos φ, r sin φ
void normal_numbers(const uint32_t* words, int64_t pairs, float* numbers,
                    InstructionSet set = instruction_set());

// The Bernoulli log likelihood of a row, Σ x·l - log(1 + eˡ) over its `features` logits l, where the sums of
// every 16th element are added in the end; slope: its derivatives x - σ(l).
float bernoulli_row(const float* logits, const float* x, int64_t features, float* slope,
                    InstructionSet set = instruction_set());

}  // namespace elbo
