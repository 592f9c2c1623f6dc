// Expected values are those of scikit-learn 1.9 and SciPy 1.17 on the same numbers, or closed forms.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <string>

#include "elbo/eval/detection.h"
#include "elbo/eval/disentanglement.h"
#include "elbo/eval/information.h"
#include "elbo/eval/probes.h"
#include "elbo/eval/sample_quality.h"
#include "elbo/eval/structural_similarity.h"

namespace elbo {
namespace {

// A linear congruential sequence in [0, 1), (rows, columns) float64.
torch::Tensor numbers(int64_t rows, int64_t columns) {
  torch::Tensor all = torch::empty({rows, columns}, torch::kFloat64);
  int64_t x = 1;
  for (int64_t i = 0; i < all.numel(); ++i) {
    x = (1103515245 * x + 12345) % 2147483648;
    all.mutable_data_ptr<double>()[i] = static_cast<double>(x) / 2147483648;
  }
  return all;
}

// 200 rows to fit and 100 to ask, of three classes.
struct Classified {
  torch::Tensor u = numbers(300, 4);
  torch::Tensor x = u.narrow(1, 0, 3) * torch::tensor({3.0, 1.0, 10.0}, torch::kFloat64);
  torch::Tensor y =
      (u.select(1, 0) * 1.7 + u.select(1, 1) * 0.8 + u.select(1, 3) * 0.9).to(torch::kInt64).clamp_max(2);
  torch::Tensor fitted(const torch::Tensor& all) const { return all.narrow(0, 0, 200); }
  torch::Tensor asked(const torch::Tensor& all) const { return all.narrow(0, 200, 100); }
};

std::string digits(const torch::Tensor& classes) {
  std::string text;
  for (int64_t i = 0; i < classes.size(0); ++i) text += std::to_string(classes[i].item<int64_t>());
  return text;
}

// Codes that mix two factors of four values with what is not a factor.
CodesAndFactors mixed() {
  const torch::Tensor u = numbers(300, 4);
  const auto of = [&](int64_t column) { return u.select(1, column); };
  return {torch::stack({of(0) + 0.3 * of(2), of(1) - 0.2 * of(0), of(2), of(3)}, 1),
          (u.narrow(1, 0, 2) * 4).floor()};
}

TEST(Detection, AreasCountEqualScoresAsHalfAndTogether) {
  const torch::Tensor score = torch::tensor({0.1, 0.4, 0.35, 0.8, 0.4, 0.9, 0.2, 0.4});
  const torch::Tensor anomalous = torch::tensor({0, 0, 1, 1, 1, 0, 0, 0}).to(torch::kBool);
  EXPECT_NEAR(area_under_roc(score, anomalous), 0.6, 1e-12);
  EXPECT_NEAR(average_precision(score, anomalous), 0.4666666666666667, 1e-12);
  EXPECT_NEAR(area_under_roc(anomalous, anomalous), 1, 1e-12);
  EXPECT_NEAR(average_precision(anomalous, anomalous), 1, 1e-12);
  EXPECT_NEAR(area_under_roc(torch::ones({8}), anomalous), 0.5, 1e-12);
  EXPECT_NEAR(average_precision(torch::ones({8}), anomalous), 3.0 / 8, 1e-12);
}

TEST(Detection, AtMostTheShareOfFalseAlarmsIsAboveTheThreshold) {
  const torch::Tensor score = torch::arange(200).flip(0);
  for (const double rate : {0.0, 0.01, 0.5}) {
    const double threshold = threshold_of_false_alarms(score, rate);
    EXPECT_EQ(score.gt(threshold).sum().item<double>(), 200 * rate);
  }
  EXPECT_EQ(threshold_of_false_alarms(torch::ones({50}), 0.1), 1) << "nothing is above equal scores";
}

TEST(Probes, TheLinearOneIsLogisticRegressionOnStandardisedCodes) {
  const Classified data;
  EXPECT_EQ(digits(linear_probe(data.fitted(data.x), data.fitted(data.y), 3, data.asked(data.x))),
            "111101111211200122121111112110111211010120221111111002122211111010012100"
            "2212121120100211121212111101");
}

TEST(Probes, TheOtherIsAVoteOfTheNearest) {
  const Classified data;
  EXPECT_EQ(digits(nearest_neighbours(data.fitted(data.x), data.fitted(data.y), 3, data.asked(data.x), 5)),
            "011211111221211122121111112110122211010120211101101001222211111011112100"
            "2212111120111212220212111110");
  const torch::Tensor one = torch::tensor({{0.0}, {1.0}, {5.0}}), classes = torch::tensor({2, 1, 0});
  EXPECT_EQ(digits(nearest_neighbours(one, classes, 3, torch::tensor({{0.4}, {0.6}, {9.0}}), 1)), "210");
  EXPECT_EQ(digits(nearest_neighbours(one, classes, 3, torch::tensor({{0.4}}), 9)), "0")
      << "the lowest of equals";
}

TEST(Disentanglement, ScoresAreThoseOfTheirDefinitions) {
  const CodesAndFactors data = mixed();
  EXPECT_NEAR(mutual_information_gap(data.codes, data.factors), 0.6535027814304661, 1e-9);
  EXPECT_NEAR(attribute_predictability(data.codes, data.factors), 0.8788883242326297, 1e-9);
  const Dci found = dci(data, data);
  EXPECT_NEAR(found.disentanglement, 0.6166182673655412, 1e-6);
  EXPECT_NEAR(found.completeness, 0.605782870764819, 1e-6);
  EXPECT_NEAR(found.informativeness, (0.941515596038998 + 0.9343414295837862) / 2, 1e-6);
}

TEST(Disentanglement, ADimensionForEachFactorIsPerfect) {
  const CodesAndFactors data = mixed();
  const CodesAndFactors perfect{data.factors * 3 + 1, data.factors};
  const Dci found = dci(perfect, perfect);
  EXPECT_NEAR(found.disentanglement, 1, 1e-2);
  EXPECT_NEAR(found.informativeness, 1, 1e-3);
  EXPECT_GT(mutual_information_gap(perfect.codes, perfect.factors), 0.95);
  EXPECT_EQ(factor_vae_score(perfect.codes, perfect.factors, Key(1)), 1);
}

TEST(Disentanglement, TheVoteIsOfTheDimensionThatVariesLeast) {
  const torch::Tensor factors = mixed().factors;
  // Both factors change the only dimension, so one of two votes is right.
  const torch::Tensor shared = factors.sum(1, /*keepdim=*/true);
  EXPECT_NEAR(factor_vae_score(shared, factors, Key(1)), 0.5, 1e-12);
  EXPECT_EQ(factor_vae_score(shared * 0.01, factors, Key(1)), 0) << "dimensions without variance do not vote";
  // A factor with a single value has no part.
  const torch::Tensor with_constant = torch::cat({factors, torch::ones({300, 1}, torch::kFloat64)}, 1);
  EXPECT_EQ(factor_vae_score(factors, with_constant, Key(1)), 1);
  EXPECT_TRUE(std::isnan(mutual_information_gap(factors, torch::ones({300, 2}))));
}

TEST(SampleQuality, TheFrechetDistanceIsThatOfNormalDistributions) {
  const Classified data;
  const torch::Tensor a = data.fitted(data.x), b = data.asked(data.x) * 1.3 + 0.5;
  EXPECT_NEAR(frechet_distance(a, b), 6.578349091030153, 1e-6);
  EXPECT_NEAR(frechet_distance(b, a), 6.578349091030153, 1e-6);
  EXPECT_NEAR(frechet_distance(a, a), 0, 1e-9);
  EXPECT_NEAR(frechet_distance(a, a + 2), 3 * 4, 1e-9);
}

TEST(SampleQuality, PrecisionAndRecallAreSharesInManifolds) {
  const Classified data;
  const torch::Tensor a = data.fitted(data.x), b = data.asked(data.x) * 1.3 + 0.5;
  EXPECT_NEAR(share_in_manifold(b, a), 0.36, 1e-12);
  EXPECT_NEAR(share_in_manifold(a, b), 0.765, 1e-12);
  EXPECT_EQ(share_in_manifold(a, a), 1);
  EXPECT_EQ(share_in_manifold(a + 100, a), 0);
}

// Codes of a linear-Gaussian model: means from N(0, C) and posteriors with the variance s², so that q(z) is
// N(0, C + s² I).
TEST(Information, IsThatOfALinearGaussianModel) {
  const torch::Tensor c = torch::tensor({1.2, 0.8, 0.8, 1.0}, torch::kFloat64).view({2, 2});
  constexpr double variance = 0.3;
  RandomGenerator noise(Key(5));
  const torch::Tensor mean = noise.normal({3000, 2}).to(torch::kFloat64).mm(at::linalg_cholesky(c).t());
  const torch::Tensor logvar = torch::full_like(mean, std::log(variance));
  const torch::Tensor q = c + variance * torch::eye(2, torch::kFloat64);
  const double log_det = q.logdet().item<double>(), log_marginals = q.diagonal().log().sum().item<double>();
  const Information found = information(mean, logvar, Key(6));
  EXPECT_NEAR(found.mutual_information, 0.5 * (log_det - 2 * std::log(variance)), 0.05);
  EXPECT_NEAR(found.total_correlation, 0.5 * (log_marginals - log_det), 0.02);
  EXPECT_NEAR(found.dimension_wise_kl, 0.5 * (q.trace().item<double>() - 2 - log_marginals), 0.05);
  EXPECT_NEAR(found.marginal_kl, found.total_correlation + found.dimension_wise_kl, 1e-9);
}

// Posteriors that do not overlap say which row it was: log N nats. Those that are equal say nothing.
TEST(Information, IsBetweenNothingAndTheNumberOfRows) {
  const torch::Tensor apart = torch::arange(50, torch::kFloat64).unsqueeze(1) * 100;
  EXPECT_NEAR(information(apart, torch::zeros_like(apart), Key(1)).mutual_information, std::log(50), 1e-9);
  const torch::Tensor same = torch::zeros({50, 3}, torch::kFloat64);
  const Information nothing = information(same, same, Key(1));
  EXPECT_NEAR(nothing.mutual_information, 0, 1e-9);
  EXPECT_NEAR(nothing.total_correlation, 0, 1e-9);
  EXPECT_NEAR(nothing.marginal_kl, 0, 1e-9);
}

TEST(StructuralSimilarity, IsThatOfItsDefinition) {
  const torch::Tensor both = numbers(28, 13).view({2, 1, 14, 13});
  const torch::Tensor x = both.slice(0, 0, 1), y = 0.7 * x + 0.3 * both.slice(0, 1, 2);
  EXPECT_NEAR(structural_similarity(x, y).item<double>(), 0.8659732085360479, 1e-9);  // by NumPy
  EXPECT_NEAR(structural_similarity(x, x).item<double>(), 1, 1e-12);
  // Of images that are constant, in two channels, and smaller than a window.
  const torch::Tensor a = torch::full({3, 2, 5, 20}, 0.25), b = torch::full({3, 2, 5, 20}, 0.75);
  const double expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25 * 0.25 + 0.75 * 0.75 + 1e-4);
  EXPECT_NEAR((structural_similarity(a, b) - expected).abs().max().item<double>(), 0, 1e-9);
}

}  // namespace
}  // namespace elbo
