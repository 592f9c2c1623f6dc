#include "elbo/objectives/total_correlation.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "elbo/base/error.h"

namespace elbo {
namespace {

// Rows with narrow posteriors, whose means are samples of a normal with correlation 0.8, so that q(z) is
// nearly that normal.
struct Correlated {
  static constexpr double rho = 0.8, variance = 0.05;
  DiagonalNormal posterior;
  torch::Tensor z;
  explicit Correlated(int64_t n) {
    RandomGenerator noise(Key(1));
    const torch::Tensor e = noise.normal({n, 2});
    const torch::Tensor second = rho * e.select(1, 0) + std::sqrt(1 - rho * rho) * e.select(1, 1);
    posterior.mean = torch::stack({e.select(1, 0), second}, 1);
    posterior.logvar = torch::full({n, 2}, std::log(variance));
    z = posterior.sample(noise);
  }
};

TEST(TotalCorrelation, ItsThreePartsSumToTheKlOfTheSample) {
  const Correlated rows(50);
  for (const auto estimator : {DensityEstimator::weighted, DensityEstimator::stratified}) {
    const KlParts parts = kl_parts(rows.posterior, rows.z, estimator, 1000);
    const torch::Tensor drawn = rows.posterior.log_prob(rows.z) - standard_normal_log_prob(rows.z);
    EXPECT_TRUE(torch::allclose(parts.mutual_information + parts.total_correlation + parts.dimension_wise,
                                drawn, 1e-4, 1e-4));
  }
}

TEST(TotalCorrelation, IsThatOfANormalWithKnownCorrelation) {
  const Correlated rows(1500);
  const double correlation = Correlated::rho / (1 + Correlated::variance);
  const double expected = -0.5 * std::log(1 - correlation * correlation);
  const KlParts parts = kl_parts(rows.posterior, rows.z, DensityEstimator::stratified, 1500);
  EXPECT_NEAR(parts.total_correlation.mean().item<double>(), expected, 0.08);
}

TEST(TotalCorrelation, StratifiedWeightsOfARowSumToOne) {
  const torch::Tensor weights = log_density_weights(DensityEstimator::stratified, 7, 1000).exp();
  EXPECT_TRUE(torch::allclose(weights.sum(1), torch::ones({7})));
  EXPECT_TRUE(torch::allclose(weights.diagonal(), torch::full({7}, 1e-3)));
}

// All microbatches of 3 of 5 rows that contain the row: the mean of the estimates is q(z).
TEST(TotalCorrelation, TheStratifiedEstimateIsUnbiased) {
  RandomGenerator noise(Key(2));
  const DiagonalNormal all{noise.normal({5, 1}), torch::zeros({5, 1})};
  const torch::Tensor z = noise.normal({1, 1});
  const torch::Tensor densities = all.log_prob(z.expand({5, 1})).exp();
  double mean = 0;
  int ways = 0;
  const torch::Tensor weights = log_density_weights(DensityEstimator::stratified, 3, 5).exp();
  for (int64_t row = 0; row < 5; ++row)
    for (int64_t a = 0; a < 5; ++a)
      for (int64_t b = 0; b < 5; ++b) {
        if (a == b || a == row || b == row) continue;
        const torch::Tensor drawn = torch::tensor({row, a, b});
        mean += (weights[0] * densities.index_select(0, drawn)).sum().item<double>();
        ++ways;
      }
  EXPECT_NEAR(mean / ways, densities.mean().item<double>(), 1e-6);
}

TEST(TotalCorrelation, OneRowIsTooFew) {
  EXPECT_THROW(kl_parts({torch::zeros({1, 2}), torch::zeros({1, 2})}, torch::zeros({1, 2}),
                        DensityEstimator::weighted, 10),
               Error);
}

}  // namespace
}  // namespace elbo
