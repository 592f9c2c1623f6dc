// Distributions over the plane that have parts, as priors whose shape can be seen (Makhzani et al. 2016,
// section 2.1 and figure 4).
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/base/random.h"

namespace elbo {

// For draws of a part of each: (n) int64 of 0 … parts-1, all as probable.
torch::Tensor uniform_parts(int64_t n, int64_t parts, RandomGenerator& noise);

// Petals around the origin: part i (n) of `parts` is a Gaussian in the direction 2πi/parts, at the distance
// 1.4, with the standard deviation 0.5 along that direction and 0.1 across → (n, 2).
torch::Tensor petals(const torch::Tensor& part, int64_t parts, RandomGenerator& noise);

// Two turns of a spiral: the radius is 3√u and the angle 4π√u with u uniform in [0, 1);
// part i (n) is the section with u in [i, i+1)/parts → (n, 2).
torch::Tensor swiss_roll(const torch::Tensor& part, int64_t parts, RandomGenerator& noise);

}  // namespace elbo
