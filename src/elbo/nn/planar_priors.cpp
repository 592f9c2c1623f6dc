#include "elbo/nn/planar_priors.h"

#include <torch/types.h>

#include <numbers>

namespace elbo {
namespace {

constexpr double petal_distance = 1.4, petal_along = 0.5, petal_across = 0.1;
constexpr double roll_radius = 3, roll_angle = 4 * std::numbers::pi;

}  // namespace

torch::Tensor uniform_parts(int64_t n, int64_t parts, RandomGenerator& noise) {
  // The product may round up to `parts`.
  return (noise.uniform({n}) * static_cast<double>(parts)).to(torch::kInt64).clamp_max(parts - 1);
}

torch::Tensor petals(const torch::Tensor& part, int64_t parts, RandomGenerator& noise) {
  const torch::Tensor epsilon = noise.normal({part.size(0), 2});
  const torch::Tensor along = petal_distance + petal_along * epsilon.select(1, 0);
  const torch::Tensor across = petal_across * epsilon.select(1, 1);
  const torch::Tensor angle = part * (2 * std::numbers::pi / static_cast<double>(parts));
  const torch::Tensor cos = angle.cos(), sin = angle.sin();
  return torch::stack({along * cos - across * sin, along * sin + across * cos}, 1);
}

torch::Tensor swiss_roll(const torch::Tensor& part, int64_t parts, RandomGenerator& noise) {
  const torch::Tensor access_method = ((part + noise.uniform({part.size(0)})) / static_cast<double>(parts)).sqrt();
  const torch::Tensor radius = roll_radius * access_method, angle = roll_angle * access_method;
  return torch::stack({radius * angle.cos(), radius * angle.sin()}, 1);
}

}  // namespace elbo
