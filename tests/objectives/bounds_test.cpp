#include "elbo/objectives/bounds.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <limits>

#include "elbo/base/random.h"

namespace elbo {
namespace {

struct NegativeElbo : testing::Test {
  const torch::Tensor reconstruction = torch::tensor({10.0F, 20.0F});
  const torch::Tensor kl = torch::tensor({{1.0F, 0.1F}, {3.0F, 0.3F}});
};
using Capacity = NegativeElbo;

TEST_F(NegativeElbo, IsReconstructionPlusKl) {
  const LossTerms terms = negative_elbo(reconstruction, kl, {}, 0);
  EXPECT_TRUE(torch::allclose(terms.loss, torch::tensor({11.1F, 23.3F})));
}

TEST_F(NegativeElbo, WeighsTheKlTermByBeta) {
  EXPECT_TRUE(
      torch::allclose(negative_elbo(reconstruction, kl, {.beta = 4}, 0).loss, torch::tensor({14.4F, 33.2F})));
}

TEST_F(NegativeElbo, WarmUpRisesLinearlyToBeta) {
  const KlOptions options{.beta = 2, .warmup_steps = 10};
  EXPECT_EQ(kl_weight(options, 0), 0);
  EXPECT_EQ(kl_weight(options, 5), 1);
  EXPECT_EQ(kl_weight(options, 10), 2);
  EXPECT_EQ(kl_weight(options, 1000), 2);
}

TEST_F(NegativeElbo, FreeBitsAreAFloorUnderTheMeanOfADimension) {
  // Means over the microbatch are 2 and 0.2; with 0.5 nats free the second costs 0.5: 30 + 2·(2 + 0.5).
  EXPECT_NEAR(negative_elbo(reconstruction, kl, {.free_bits = 0.5}, 0).loss.item<double>(), 35, 1e-5);
}

TEST_F(NegativeElbo, ReportsItsPartsWithoutWeightsAndFloors) {
  const LossTerms terms = negative_elbo(reconstruction, kl, {.beta = 7, .free_bits = 5}, 0);
  ASSERT_EQ(terms.parts.size(), 2U);
  EXPECT_EQ(terms.parts[0].first, "reconstruction");
  EXPECT_TRUE(torch::equal(terms.parts[0].second, reconstruction));
  EXPECT_EQ(terms.parts[1].first, "kl");
  EXPECT_TRUE(torch::allclose(terms.parts[1].second, torch::tensor({1.1F, 3.3F})));
}

TEST(ImportanceWeightedBound, IsTheLogOfTheMeanWeight) {
  const torch::Tensor weights = torch::tensor({{1.0, 2.0}, {3.0, 6.0}}, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(importance_weighted_bound(weights.log()),
                              torch::tensor({2.0, 4.0}, torch::kFloat64).log()));
}

TEST(ImportanceWeightedBound, OfOneSampleIsItsLogWeight) {
  const torch::Tensor log_weights = torch::tensor({{-80.5, -1000.25}}, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(importance_weighted_bound(log_weights), log_weights[0]));
}

TEST(ImportanceWeightedBound, HandlesWeightsThatOverflowAFloat) {
  EXPECT_NEAR(importance_weighted_bound(torch::tensor({{-2000.0F}, {-2000.0F}})).item<double>(), -2000, 1e-9);
}

TEST(ImportanceWeightedBound, RisesWithTheNumberOfSamples) {
  // For log-normal weights with log w ~ N(-s²/2, s²), log E w = 0 is the limit; K = 1 gives -s²/2.
  const double s = 1.5;
  RandomGenerator noise(Key(1));
  double before = -1e9;
  for (const int64_t k : {1, 2, 5, 20, 100}) {
    const torch::Tensor log_weights = noise.normal({k, 20000}) * s - s * s / 2;
    const auto bound = importance_weighted_bound(log_weights).mean().item<double>();
    if (k == 1) {
      EXPECT_NEAR(bound, -s * s / 2, 0.05);
    }
    EXPECT_GT(bound, before);
    EXPECT_LT(bound, 0.01);
    before = bound;
  }
}

TEST_F(Capacity, ItsLossIsTheDistanceOfTheMeanKlFromTheRisenCapacity) {
  const torch::Tensor of_rows = torch::tensor({3.0F, 5.0F});
  const CapacityOptions options{.capacity = 8, .capacity_steps = 100, .gamma = 10};
  const auto loss = [&](int64_t step) {
    return capacity_objective(reconstruction, of_rows, options, step).loss.item<double>();
  };
  EXPECT_NEAR(loss(0), 30 + 2 * 10 * 4, 1e-4);
  EXPECT_NEAR(loss(25), 30 + 2 * 10 * 2, 1e-4);
  EXPECT_NEAR(loss(50), 30, 1e-4);
  EXPECT_NEAR(loss(1000), 30 + 2 * 10 * 4, 1e-4);
}

TEST(Penalized, AKlWithoutWeightMayBeInfinite) {
  const torch::Tensor infinite = torch::tensor({std::numeric_limits<float>::infinity()});
  EXPECT_EQ(penalized(torch::tensor({2.0F}), infinite, 0, "p", torch::tensor(3.0F)).loss.item<double>(), 5);
}

// Weights 1, 2 and 5 eighths.
TEST(ImportanceWeightedMean, WeighsTheSamplesOfEachRow) {
  const torch::Tensor log_weights = torch::tensor({{1.0F, 5.0F}, {2.0F, 5.0F}, {5.0F, 5.0F}}).log() + 300;
  const torch::Tensor values = torch::arange(12, torch::kFloat32).view({6, 2});  // (3 samples · 2 rows, …)
  const torch::Tensor expected = torch::tensor(
      {{(0 + 2 * 4 + 5 * 8) / 8.0F, (1 + 2 * 5 + 5 * 9) / 8.0F}, {(2 + 6 + 10) / 3.0F, (3 + 7 + 11) / 3.0F}});
  EXPECT_TRUE(torch::allclose(importance_weighted_mean(log_weights, values), expected, 1e-4));
}

}  // namespace
}  // namespace elbo
