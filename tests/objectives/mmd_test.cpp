#include "elbo/objectives/mmd.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/base/random.h"

namespace elbo {
namespace {

const MmdOptions rbf{.kernel = "rbf"};

// With k(a, b) = exp(-|a-b|²/2v) and two normals N(0, I), N(μ, I): E k = (v/(v+2))^{d/2} exp(-|μ|²/2(v+2)).
TEST(Mmd, OfTwoNormalsIsTheClosedForm) {
  constexpr int64_t d = 2, n = 3000;
  RandomGenerator noise(Key(1));
  const torch::Tensor a = noise.normal({n, d}), b = noise.normal({n, d}) + 1.0;
  const double v = d;
  const double expected = 2 * std::pow(v / (v + 2), d / 2.0) * (1 - std::exp(-d / (2 * (v + 2))));
  EXPECT_NEAR(mmd(a, b, rbf).item<double>(), expected, 0.01);
  EXPECT_NEAR(mmd(a, noise.normal({n, d}), rbf).item<double>(), 0, 0.002);
}

// E c/(c + t²) for t ~ N(m, 2), as a sum over a fine grid.
double expected_imq(double m) {
  double sum = 0;
  constexpr double step = 0.001;
  for (double t = -15; t < 15; t += step) {
    const double density = std::exp(-(t - m) * (t - m) / 4) / std::sqrt(4 * std::numbers::pi);
    for (const double factor : {0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0})
      sum += step * density * 2 * factor / (2 * factor + t * t);
  }
  return sum;
}

TEST(Mmd, WithTheInverseMultiquadraticKernelIsItsIntegral) {
  RandomGenerator noise(Key(2));
  constexpr int rounds = 40;
  double mean = 0;
  for (int round = 0; round < rounds; ++round) {
    const torch::Tensor a = noise.normal({500, 1}), b = noise.normal({500, 1}) + 1.5;
    mean += mmd(a, b, {}).item<double>() / rounds;
  }
  EXPECT_NEAR(mean, 2 * (expected_imq(0) - expected_imq(1.5)), 0.06);
}

TEST(Mmd, IsUnbiasedForFewRows) {
  RandomGenerator noise(Key(3));
  double mean = 0;
  for (int i = 0; i < 4000; ++i)
    mean += mmd(noise.normal({3, 2}), noise.normal({3, 2}), rbf).item<double>() / 4000;
  EXPECT_NEAR(mean, 0, 0.01);
  EXPECT_THROW(mmd(noise.normal({1, 2}), noise.normal({1, 2}), rbf), Error);
}

}  // namespace
}  // namespace elbo
