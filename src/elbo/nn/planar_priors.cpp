#include "elbo/nn/planar_priors.h"

#include <torch/types.h>

#include <numbers>

namespace elbo {
namespace {

constexpr double petal_distance = 1.4, petal_along = 0.5, petal_across = 0.1;
constexpr double roll_radius = 3, roll_angle = 4 * std::numbers::pi;

}  // namespace

torch::Tensor uniform_components(int64_t n, int64_t components, RandomGenerator& noise) {
  // The product may round up to `components`.
  return (noise.uniform({n}) * static_cast<double>(components)).to(torch::kInt64).clamp_max(components - 1);
}

torch::Tensor gaussian_mixture(const torch::Tensor& component, int64_t components, RandomGenerator& noise) {
  const torch::Tensor epsilon = noise.normal({component.size(0), 2});
  const torch::Tensor along = petal_distance + petal_along * epsilon.select(1, 0);
  const torch::Tensor across = petal_across * epsilon.select(1, 1);
  const torch::Tensor angle = component * (2 * std::numbers::pi / static_cast<double>(components));
  const torch::Tensor cos = angle.cos(), sin = angle.sin();
  return torch::stack({along * cos - across * sin, along * sin + across * cos}, 1);
}

torch::Tensor swiss_roll(const torch::Tensor& component, int64_t components, RandomGenerator& noise) {
  const torch::Tensor root =
      ((component + noise.uniform({component.size(0)})) / static_cast<double>(components)).sqrt();
  const torch::Tensor radius = roll_radius * root, angle = roll_angle * root;
  return torch::stack({radius * angle.cos(), radius * angle.sin()}, 1);
}

}  // namespace elbo
