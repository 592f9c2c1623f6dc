// The likelihood of docs/adding_a_likelihood.md, which is compiled with this test.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <numbers>

#include "elbo/nn/likelihood.h"

namespace elbo {

std::shared_ptr<Likelihood> logistic_likelihood(const LikelihoodOptions& options, const LikelihoodRows& rows);

namespace {

constexpr double own_scale = 0.6;

std::shared_ptr<Likelihood> own_likelihood() {
  return logistic_likelihood({.variance = "fixed", .scale = own_scale}, {});
}

TEST(OwnLikelihood, IsTheLogisticDensityAlsoFarInItsTails) {
  const torch::Tensor location = torch::tensor({0.5F, -1.0F, 2.0F}).view({1, 1, 3});
  const torch::Tensor x = torch::tensor({{0.9F, -1.0F, -100.0F}});
  double expected = 0;
  for (int64_t i = 0; i < 3; ++i) {
    const double r = (x[0][i].item<double>() - location[0][0][i].item<double>()) / own_scale;
    // Symmetric: with |r|, e^-r does not overflow.
    expected -= std::abs(r) + 2 * std::log1p(std::exp(-std::abs(r))) + std::log(own_scale);
  }
  EXPECT_NEAR(own_likelihood()->log_prob(location, x).item<double>(), expected, 1e-4);
}

TEST(OwnLikelihood, SamplesHaveItsMoments) {
  RandomGenerator noise(Key(3));
  const torch::Tensor location = torch::full({1, 1, 200000}, 1.5F);
  const torch::Tensor sample = own_likelihood()->sample(location, noise);
  EXPECT_NEAR(sample.mean().item<double>(), 1.5, 0.01);
  EXPECT_NEAR(sample.std().item<double>(), own_scale * std::numbers::pi / std::sqrt(3.0), 0.01);
}

}  // namespace
}  // namespace elbo
