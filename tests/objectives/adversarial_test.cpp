#include "elbo/objectives/adversarial.h"

#include <gtest/gtest.h>
#include <torch/nn/functional.h>
#include <torch/optim/adam.h>
#include <torch/types.h>

#include <cmath>
#include <map>
#include <numbers>

#include "elbo/nn/discriminator.h"

namespace elbo {
namespace {

torch::Tensor normal_log_density(const torch::Tensor& x, double mean, double sigma) {
  return -0.5 * ((x - mean) / sigma).square() - std::log(sigma * std::sqrt(2 * std::numbers::pi));
}

// ∫ p·loss(real) + q·loss(fake) over a grid, where the real ones are N(0, 1) and the fake ones N(1, 2²).
class TwoGaussians : public testing::Test {
 protected:
  torch::Tensor x = torch::linspace(-12, 14, 2001, torch::kFloat64);
  torch::Tensor log_p = normal_log_density(x, 0, 1), log_q = normal_log_density(x, 1, 2);
  torch::Tensor expected_loss(const torch::Tensor& logit) const {
    const double dx = 26.0 / 2000;
    const torch::Tensor nothing = torch::full_like(logit, -1e9);
    // One term at a time: the other logit makes its term zero.
    return ((log_p.exp() * discriminator_loss(logit, nothing)) +
            (log_q.exp() * discriminator_loss(-nothing, logit)))
               .sum() *
           dx;
  }
};

TEST_F(TwoGaussians, TheDiscriminatorsBestLogitIsTheLogRatioOfDensities) {
  const torch::Tensor best = (log_p - log_q).requires_grad_();
  const torch::Tensor at_best = expected_loss(best);
  at_best.backward();
  EXPECT_LT(best.grad().abs().max().item<double>(), 1e-9);
  RandomGenerator noise(Key(1));
  for (const double size : {0.01, 0.3, 2.0}) {
    const torch::Tensor other = best.detach() + size * noise.normal({2001});
    EXPECT_GT(expected_loss(other).item<double>(), at_best.item<double>());
  }
}

TEST_F(TwoGaussians, TheLossThereIsThatOfTheJensenShannonDivergence) {
  // Goodfellow et al. 2014, theorem 1: 2 log 2 - 2 JSD.
  const double dx = 26.0 / 2000;
  const torch::Tensor p = log_p.exp(), q = log_q.exp(), log_m = (0.5 * (p + q)).log();
  const double divergence = 0.5 * dx * (p * (log_p - log_m) + q * (log_q - log_m)).sum().item<double>();
  EXPECT_NEAR(expected_loss(log_p - log_q).item<double>(), 2 * std::numbers::ln2 - 2 * divergence, 1e-6);
}

TEST(GeneratorLoss, ItsSlopeIsThatOfFiniteDifferences) {
  const torch::Tensor logit = torch::tensor({-30.0, -2.0, 0.0, 1.5, 8.0}, torch::kFloat64).requires_grad_();
  generator_loss(logit).sum().backward();
  const double h = 1e-5;
  const torch::Tensor at = logit.detach();
  const torch::Tensor difference = (generator_loss(at + h) - generator_loss(at - h)) / (2 * h);
  EXPECT_TRUE(torch::allclose(logit.grad(), difference, 0, 1e-6));
  // The gradient does not vanish where the discriminator is certain.
  EXPECT_NEAR(logit.grad()[0].item<double>(), -1, 1e-9);
}

TEST(GeneratorLoss, IsTheNegativeLogarithmOfTheProbability) {
  const torch::Tensor probability = torch::tensor({0.01, 0.5, 0.9}, torch::kFloat64);
  EXPECT_TRUE(torch::allclose(generator_loss(torch::logit(probability)), -probability.log()));
}

TEST(LogDensityRatio, TwoLogitsWithCrossEntropyAreOneWithTheLogisticLoss) {
  RandomGenerator noise(Key(2));
  const torch::Tensor joint = noise.normal({7, 2}), marginals = noise.normal({7, 2});
  const torch::Tensor zeros = torch::zeros({7}, torch::kInt64), ones = torch::ones({7}, torch::kInt64);
  const torch::Tensor expected = torch::nn::functional::cross_entropy(joint, zeros) +
                                 torch::nn::functional::cross_entropy(marginals, ones);
  const torch::Tensor loss = discriminator_loss(log_density_ratio(joint), log_density_ratio(marginals));
  EXPECT_TRUE(torch::allclose(loss.mean(), expected));
}

TEST(PermuteDimensions, KeepsTheMarginalsExactly) {
  RandomGenerator noise(Key(3));
  const torch::Tensor z = noise.normal({64, 5});
  const torch::Tensor permuted = permute_dimensions(z, noise);
  EXPECT_FALSE(torch::equal(permuted, z));
  EXPECT_TRUE(torch::equal(std::get<0>(permuted.sort(0)), std::get<0>(z.sort(0))));
}

TEST(PermuteDimensions, PermutesEachColumnByItself) {
  // Equal columns become independent: their correlation is near 0.
  RandomGenerator noise(Key(4));
  const torch::Tensor z = noise.normal({4096, 1}).expand({4096, 2});
  const torch::Tensor permuted = permute_dimensions(z, noise);
  EXPECT_NEAR(torch::corrcoef(permuted.t())[0][1].item<double>(), 0, 4 / std::sqrt(4096.0));
}

TEST(PermuteDimensions, EveryOrderIsAsProbable) {
  RandomGenerator noise(Key(5));
  const torch::Tensor permuted = permute_dimensions(torch::arange(3).unsqueeze(1).expand({3, 6000}), noise);
  std::map<int64_t, int64_t> counts;
  const torch::Tensor names = permuted[0] * 9 + permuted[1] * 3 + permuted[2];
  for (int64_t i = 0; i < names.size(0); ++i) ++counts[names[i].item<int64_t>()];
  ASSERT_EQ(counts.size(), 6);
  double chi_squared = 0;
  for (const auto& [name, count] : counts)
    chi_squared += std::pow(static_cast<double>(count) - 1000, 2) / 1000;
  EXPECT_LT(chi_squared, 20.5);  // 5 degrees of freedom, one in a thousand
}

// N(0, R) with correlation ρ has the total correlation -½ log det R.
class CorrelatedGaussian : public testing::Test {
 protected:
  static constexpr double rho = 0.8;
  const double total_correlation = -0.5 * std::log(1 - rho * rho);
  torch::Tensor draw(int64_t n, RandomGenerator& noise) const {
    const torch::Tensor epsilon = noise.normal({n, 2});
    const torch::Tensor first = epsilon.select(1, 0);
    return torch::stack({first, rho * first + std::sqrt(1 - rho * rho) * epsilon.select(1, 1)}, 1);
  }
};

TEST_F(CorrelatedGaussian, TheBestDiscriminatorsRatioHasTheTotalCorrelationAsItsMean) {
  RandomGenerator noise(Key(6));
  const torch::Tensor z = draw(200000, noise), a = z.select(1, 0), b = z.select(1, 1);
  const double determinant = 1 - rho * rho;
  const torch::Tensor joint =
      -0.5 * (a.square() - 2 * rho * a * b + b.square()) / determinant - 0.5 * std::log(determinant);
  const torch::Tensor marginals = -0.5 * (a.square() + b.square());
  const torch::Tensor ratio = log_density_ratio(torch::stack({joint, marginals}, 1));
  EXPECT_NEAR(ratio.mean().item<double>(), total_correlation, 0.01);
}

TEST_F(CorrelatedGaussian, ATrainedDiscriminatorFindsTheTotalCorrelation) {
  RandomGenerator init(Key(7)), noise(Key(8));
  Discriminator discriminator(2, {.hidden = {32, 32}}, 2, init);
  torch::optim::Adam adam(discriminator.parameters(), torch::optim::AdamOptions(5e-3));
  const auto ratio = [&](const torch::Tensor& z) { return log_density_ratio(discriminator.forward(z)); };
  for (int step = 0; step < 400; ++step) {
    const torch::Tensor z = draw(512, noise);
    const torch::Tensor loss = discriminator_loss(ratio(z), ratio(permute_dimensions(z, noise))).mean();
    adam.zero_grad();
    loss.backward();
    adam.step();
  }
  EXPECT_NEAR(ratio(draw(20000, noise)).mean().item<double>(), total_correlation, 0.06);
}

// The gradient of log D/(1-D) = wᵀx + b is w everywhere.
TEST(R1Penalty, OfALinearLogitIsHalfItsSquaredWeights) {
  const torch::Tensor x = torch::linspace(-1, 1, 12).view({4, 3}).requires_grad_(true);
  const torch::Tensor w = torch::tensor({1.0F, -2.0F, 0.5F}).requires_grad_(true);
  const torch::Tensor penalty = r1_penalty(x.matmul(w) + 3, x);
  EXPECT_TRUE(torch::allclose(penalty, torch::full({4}, 0.5 * 5.25)));
  penalty.sum().backward();
  EXPECT_TRUE(torch::allclose(w.grad(), 4 * w.detach()));
}

}  // namespace
}  // namespace elbo
