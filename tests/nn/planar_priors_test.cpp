#include "elbo/nn/planar_priors.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <numbers>

namespace elbo {
namespace {

TEST(UniformComponents, HaveEqualProbability) {
  RandomGenerator noise(Key(1));
  const torch::Tensor counts = uniform_components(30000, 3, noise).bincount();
  ASSERT_EQ(counts.size(0), 3);
  EXPECT_LT((counts - 10000).square().sum().item<double>() / 10000,
            13.8);  // χ² of 2 degrees, one in a thousand
}

TEST(GaussianMixture, EachComponentIsAGaussianInItsDirection) {
  RandomGenerator noise(Key(2));
  for (const int64_t part : {0, 3, 7}) {
    const torch::Tensor z = gaussian_mixture(torch::full({50000}, part), 10, noise).to(torch::kFloat64);
    const double angle = 2 * std::numbers::pi * static_cast<double>(part) / 10;
    const double c = std::cos(angle), s = std::sin(angle);
    const torch::Tensor mean = torch::tensor({1.4 * c, 1.4 * s}, torch::kFloat64);
    EXPECT_TRUE(torch::allclose(z.mean(0), mean, 0, 0.01));
    // R diag(0.5², 0.1²) Rᵀ
    const torch::Tensor covariance = torch::tensor(
        {{0.25 * c * c + 0.01 * s * s, 0.24 * c * s}, {0.24 * c * s, 0.25 * s * s + 0.01 * c * c}},
        torch::kFloat64);
    EXPECT_TRUE(torch::allclose(torch::cov(z.t()), covariance, 0, 0.006));
  }
}

TEST(SwissRoll, IsASpiralWithTheDensityOfItsRadius) {
  RandomGenerator noise(Key(3));
  const int64_t n = 40000;
  const torch::Tensor z = swiss_roll(uniform_components(n, 10, noise), 10, noise).to(torch::kFloat64);
  const torch::Tensor radius = z.norm(2, 1);
  const torch::Tensor angle = radius * (4 * std::numbers::pi / 3);
  EXPECT_TRUE(torch::allclose(z, torch::stack({radius * angle.cos(), radius * angle.sin()}, 1), 0, 1e-4));
  // (r/3)² is uniform: the Kolmogorov-Smirnov statistic is below its critical value for p = 0.001.
  const torch::Tensor u = std::get<0>((radius / 3).square().sort());
  const torch::Tensor expected = (torch::arange(n, torch::kFloat64) + 0.5) / static_cast<double>(n);
  EXPECT_LT((u - expected).abs().max().item<double>(), 1.95 / std::sqrt(static_cast<double>(n)));
}

TEST(SwissRoll, EachComponentIsASection) {
  RandomGenerator noise(Key(4));
  const torch::Tensor part = torch::arange(4).repeat({1000});
  const torch::Tensor u = (swiss_roll(part, 4, noise).norm(2, 1) / 3).square();
  EXPECT_TRUE(torch::equal((u * 4).clamp(0.001, 3.999).sub(part).sub(0.5).abs().le(0.501),
                           torch::ones({4000}, torch::kBool)));
}

}  // namespace
}  // namespace elbo
