#include "elbo/nn/hierarchy.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <cmath>
#include <numbers>

namespace elbo {
namespace {

double density(double z, double mean, double logvar) {
  const double distance = (z - mean) * (z - mean) / std::exp(logvar);
  return std::exp(-0.5 * (distance + logvar + std::log(2 * std::numbers::pi)));
}

DiagonalNormal scalar(double mean, double logvar) {
  return {torch::full({1, 1}, mean), torch::full({1, 1}, logvar)};
}

TEST(Normals, TheDivergenceIsTheIntegralOfItsDefinition) {
  for (const double logvar : {-1.5, 0.0, 1.0}) {
    const double expected = scalar(0.4, logvar).kl_to(scalar(-0.3, 0.5)).item<double>();
    double integral = 0;
    constexpr double step = 1e-3;
    for (double z = -15; z < 15; z += step) {
      const double q = density(z, 0.4, logvar);
      if (q > 0) integral += step * q * std::log(q / density(z, -0.3, 0.5));
    }
    EXPECT_NEAR(expected, integral, 1e-5);
  }
}

TEST(Normals, TheCombinationIsTheProductOfTheDensities) {
  const double mean_a = 0.7, logvar_a = -1.0, mean_b = -0.4, logvar_b = 0.3;
  const DiagonalNormal both = precision_weighted(scalar(mean_a, logvar_a), scalar(mean_b, logvar_b));
  const double a = std::exp(-logvar_a), b = std::exp(-logvar_b);
  EXPECT_NEAR(both.mean.item<double>(), (mean_a * a + mean_b * b) / (a + b), 1e-6);
  EXPECT_NEAR(both.logvar.item<double>(), -std::log(a + b), 1e-6);
}

TEST(Normals, TheCombinationTakesPrecisionsThatOverflow) {
  const DiagonalNormal both = precision_weighted(scalar(3, -400), scalar(-2, 0));
  EXPECT_NEAR(both.mean.item<double>(), 3, 1e-6);
  EXPECT_NEAR(both.logvar.item<double>(), -400, 1e-3);
}

TEST(Normals, StandardizedIsTheInverseOfReparameterize) {
  RandomGenerator noise(Key(1));
  const DiagonalNormal q{noise.normal({5, 3}), noise.normal({5, 3})};
  const torch::Tensor epsilon = noise.normal({5, 3});
  EXPECT_TRUE(torch::allclose(q.standardized(q.reparameterize(epsilon)), epsilon, 1e-4, 1e-5));
}

}  // namespace
}  // namespace elbo
