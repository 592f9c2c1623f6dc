// Two-dimensional prior distributions with components (Makhzani et al. 2016, section 2.1 and figure 4).
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/base/random.h"

namespace elbo {

// (n) int64, uniform in 0 … components-1.
torch::Tensor uniform_components(int64_t n, int64_t components, RandomGenerator& noise);

// Samples of a mixture of Gaussians arranged around the origin, component (n) int64 → (n, 2). Component i has
// its mean at the distance 1.4 in the direction 2πi/components, and the standard deviations 0.5 along that
// direction and 0.1 across it.
torch::Tensor gaussian_mixture(const torch::Tensor& component, int64_t components, RandomGenerator& noise);

// Samples of a spiral of two turns, component (n) int64 → (n, 2): the radius is 3√u and the angle 4π√u. In
// component i, u is uniform in [i, i+1)/components.
torch::Tensor swiss_roll(const torch::Tensor& component, int64_t components, RandomGenerator& noise);

}  // namespace elbo
