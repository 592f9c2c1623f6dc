#include "elbo/nn/bernoulli.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "elbo/base/random.h"

namespace elbo {
namespace {

// Both in double precision, with other formulas than the kernel.
double log_prob(double logit, double x) {
  return x * logit - (std::max(logit, 0.0) + std::log1p(std::exp(-std::abs(logit))));
}
double sigmoid(double logit) { return 0.5 * (1 + std::tanh(0.5 * logit)); }

TEST(BernoulliLogProb, AndItsSlopeAreThoseOfDoublePrecisionForEveryLogit) {
  for (double logit = -120; logit <= 120; logit += 0.0625) {
    for (const double x : {0.0, 0.25, 1.0}) {
      const torch::Tensor l =
          torch::full({1, 1, 1}, logit, torch::TensorOptions().dtype(torch::kFloat32).requires_grad(true));
      const torch::Tensor density = bernoulli_log_prob(l, torch::full({1, 1}, x));
      density.sum().backward();
      const double expected = log_prob(logit, x);
      ASSERT_NEAR(density.item<double>(), expected,
                  3e-7 * std::max(std::abs(expected), std::abs(logit)) + 1e-30)
          << logit << " " << x;
      ASSERT_NEAR(l.grad().item<double>(), x - sigmoid(logit), 2e-7) << logit << " " << x;
    }
  }
}

TEST(BernoulliLogProb, OfASmallProbabilityKeepsItsDigits) {
  // log(1 - p) for p near e⁻²⁰: not 0, and correct to float precision.
  const double density =
      bernoulli_log_prob(torch::full({1, 1, 1}, -20.0F), torch::zeros({1, 1})).item<double>();
  EXPECT_NEAR(density / -std::log1p(std::exp(-20.0)), 1, 1e-6);
}

TEST(BernoulliLogProb, SumsRowsOfAnyLengthForSeveralSamples) {
  RandomGenerator noise(Key(3));
  for (const int64_t features : {1, 15, 16, 17, 784}) {
    const torch::Tensor logits = 4 * noise.normal({3, 2, features}), x = noise.uniform({2, features});
    const torch::Tensor found = bernoulli_log_prob(logits, x);
    ASSERT_EQ(found.sizes(), (std::vector<int64_t>{3, 2}));
    const torch::Tensor l = logits.to(torch::kFloat64);
    const torch::Tensor expected = (x.to(torch::kFloat64) * l - torch::softplus(l)).sum(-1);
    EXPECT_TRUE(torch::allclose(found.to(torch::kFloat64), expected, 1e-6)) << features;
  }
}

TEST(BernoulliLogProb, IsNanForALogitThatIsNan) {
  const torch::Tensor found = bernoulli_log_prob(torch::full({1, 1, 3}, NAN), torch::zeros({1, 3}));
  EXPECT_TRUE(std::isnan(found.item<double>()));
}

}  // namespace
}  // namespace elbo
