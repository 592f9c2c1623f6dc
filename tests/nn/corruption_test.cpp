#include "elbo/nn/corruption.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "elbo/base/error.h"

namespace elbo {
namespace {

torch::Tensor corrupted(const torch::Tensor& x, const std::string& kind, double level) {
  RandomGenerator noise(Key(1));
  return corrupt(x, {.kind = kind, .level = level}, noise);
}

TEST(Corruption, GaussianAddsNoiseOfThatDeviation) {
  const torch::Tensor x = torch::full({100, 1, 10, 10}, 0.5);
  const torch::Tensor added = corrupted(x, "gaussian", 0.3) - x;
  EXPECT_NEAR(added.mean().item<double>(), 0, 0.01);
  EXPECT_NEAR(added.std().item<double>(), 0.3, 0.01);
}

TEST(Corruption, MaskingZeroesTheGivenFraction) {
  const torch::Tensor x = torch::full({100, 100}, 0.5);
  const torch::Tensor y = corrupted(x, "masking", 0.2);
  EXPECT_NEAR(y.eq(0).to(torch::kFloat32).mean().item<double>(), 0.2, 0.02);
  EXPECT_TRUE(y.eq(0).logical_or(y.eq(0.5)).all().item<bool>());
}

TEST(Corruption, SaltAndPepperAreAsManyOnesAsZeros) {
  const torch::Tensor y = corrupted(torch::full({100, 100}, 0.5), "salt_and_pepper", 0.4);
  EXPECT_NEAR(y.eq(0).to(torch::kFloat32).mean().item<double>(), 0.2, 0.02);
  EXPECT_NEAR(y.eq(1).to(torch::kFloat32).mean().item<double>(), 0.2, 0.02);
}

// A blurred point is a Gaussian with the same sum and the given standard deviation.
TEST(Corruption, BlurSpreadsAPointAsAGaussian) {
  torch::Tensor x = torch::zeros({1, 1, 21, 21});
  x[0][0][10][10] = 1;
  const torch::Tensor y = corrupted(x, "blur", 1.5)[0][0];
  EXPECT_NEAR(y.sum().item<double>(), 1, 1e-5);
  EXPECT_NEAR((y[10][13] / y[10][10]).item<double>(), std::exp(-0.5 * 9 / 2.25), 1e-5);
  EXPECT_NEAR((y[12][10] / y[10][10]).item<double>(), std::exp(-0.5 * 4 / 2.25), 1e-5);
}

TEST(Corruption, RefusesOptionsThatDoNotFitTheRow) {
  EXPECT_THROW(check_corruption({.kind = "blur", .level = 1}, {6}), Error);
  EXPECT_THROW(check_corruption({.kind = "masking", .level = 1.5}, {6}), Error);
  EXPECT_NO_THROW(check_corruption({.kind = "gaussian", .level = 1.5}, {6}));
}

}  // namespace
}  // namespace elbo
