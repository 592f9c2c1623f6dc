#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/nn/columns.h"
#include "elbo/nn/likelihood.h"

namespace elbo {
namespace {

constexpr const char* four_kinds = "gaussian,bernoulli,count,categorical:3";

std::shared_ptr<Likelihood> mixed(const std::string& columns) {
  return make_likelihood({.name = "mixed", .columns = columns}, {});
}

torch::Tensor two_rows() {
  return torch::tensor({{0.3, 1.0, 4.0, 0.0, 1.0, 0.0}, {-1.2, 0.0, 0.0, 0.0, 0.0, 1.0}}, torch::kFloat64);
}
torch::Tensor two_outputs() {
  return torch::tensor({{{0.5, -0.4, 1.1, 0.2, -0.7, 1.5}}, {{-1.0, 2.0, -0.5, 0.0, 0.3, -0.9}}},
                       torch::kFloat64);
}

TEST(Columns, AreWrittenAndReadAsText) {
  const std::vector<ColumnBlock> blocks =
      parse_columns("gaussian:2, gaussian,categorical:3,categorical:2,count");
  EXPECT_EQ(columns_text(blocks), "gaussian:3,categorical:3,categorical:2,count:1");
  EXPECT_EQ(column_count(blocks), 9);
  EXPECT_TRUE(has_kind(blocks, ColumnKind::count));
  EXPECT_FALSE(has_kind(blocks, ColumnKind::bernoulli));
  EXPECT_EQ(kinds_by_column(blocks)[5], ColumnKind::categorical);
  for (const char* wrong :
       {"", "gausian:3", "categorical", "categorical:1", "count:0", "count:x", "count:2.5"})
    EXPECT_THROW(parse_columns(wrong), Error) << wrong;
}

// scipy.stats, with σ = log(1 + e⁶) - 6 standard deviations and r = 1, the initial values:
//   norm.logpdf(x[0], d[0], exp(σ)) + bernoulli.logpmf(x[1], expit(d[1]))
//   + nbinom.logpmf(x[2], 1, 1 / (1 + exp(d[2]))) + (x[3:] * log_softmax(d[3:])).sum()
TEST(Mixed, IsTheSumOfTheDensitiesOfItsColumns) {
  const torch::Tensor found = mixed(four_kinds)->log_prob(two_outputs(), two_rows());
  EXPECT_NEAR(found[0].item<double>(), -6.9155045289284685, 1e-6);
  EXPECT_NEAR(found[1].item<double>(), -5.456256239080186, 1e-6);
}

TEST(Mixed, LeavesOutMissingColumns) {
  torch::Tensor observed = torch::ones({2, 6}, torch::kBool);
  observed[0][0] = false;                    // its gaussian column
  observed[1].narrow(0, 3, 3).fill_(false);  // its category
  const torch::Tensor found = mixed(four_kinds)->log_prob(two_outputs(), two_rows() * observed, observed);
  EXPECT_NEAR(found[0].item<double>(), -6.9155045289284685 + 0.9413154356934429, 1e-6);
  EXPECT_NEAR(found[1].item<double>(), -5.456256239080186 + 1.913935808163665, 1e-6);
}

// scipy.stats.nbinom.logpmf(n, r, r / (r + mean)), also where log Γ has more digits than float32.
TEST(Mixed, CountsAreNegativeBinomial) {
  struct Case {
    double n, mean, r, log_p;
  };
  for (const Case& each :
       {Case{0, 0.5, 2, -0.4462871026284194}, Case{7, 3, 0.3, -3.859606673331026},
        Case{1000, 900, 5, -7.06971321312002}, Case{100'000, 5e4, 2, -12.740326743265083}}) {
    const auto likelihood = mixed("count");
    {
      const torch::NoGradGuard no_grad;
      likelihood->named_parameters()["log_dispersion"].fill_(std::log(each.r));
    }
    const torch::Tensor decoded = torch::full({1, 1, 1}, std::log(each.mean), torch::kFloat64);
    const torch::Tensor x = torch::full({1, 1}, each.n, torch::kFloat32);
    EXPECT_NEAR(likelihood->log_prob(decoded, x).item<double>(), each.log_p, 1e-4) << each.n;
  }
}

TEST(Mixed, MeansAreProbabilitiesForCategories) {
  const torch::Tensor mean = mixed(four_kinds)->mean(two_outputs());
  EXPECT_NEAR(mean[0][0].item<double>(), 0.5, 1e-12);
  EXPECT_NEAR(mean[0][1].item<double>(), 1 / (1 + std::exp(0.4)), 1e-12);
  EXPECT_NEAR(mean[0][2].item<double>(), std::exp(1.1), 1e-12);
  EXPECT_NEAR(mean[0].narrow(0, 3, 3).sum().item<double>(), 1, 1e-12);
  EXPECT_NEAR((mean[0][5] / mean[0][3]).item<double>(), std::exp(1.3), 1e-12);
}

TEST(Mixed, SamplesAreRowsOfTheTable) {
  const auto likelihood = mixed(four_kinds);
  RandomGenerator noise(Key(1));
  const torch::Tensor decoded = two_outputs().narrow(0, 0, 1).to(torch::kFloat32);
  const torch::Tensor samples = likelihood->sample(decoded.expand({40'000, -1, -1}).contiguous(), noise);
  EXPECT_TRUE(samples.narrow(1, 3, 3).sum(1).eq(1).all().item<bool>());
  EXPECT_TRUE(samples.narrow(1, 1, 5).eq(samples.narrow(1, 1, 5).round()).all().item<bool>());
  const torch::Tensor difference =
      samples.mean(0, false, torch::kFloat64) - likelihood->mean(decoded)[0].to(torch::kFloat64);
  EXPECT_LT(difference.abs().max().item<double>(), 0.08) << difference;  // √(μ + μ²) / 200 = 0.017 for counts
  // The variance of a negative binomial with r = 1.
  const double mean = std::exp(1.1);
  EXPECT_NEAR(samples.select(1, 2).to(torch::kFloat64).var().item<double>(), mean + mean * mean, 0.8);
}

TEST(Mixed, GradientsAreThoseOfFiniteDifferences) {
  const auto likelihood = mixed(four_kinds);
  likelihood->to(torch::kFloat64);
  const torch::Tensor x = two_rows();
  torch::Tensor decoded = two_outputs().requires_grad_();
  likelihood->log_prob(decoded, x).sum().backward();
  std::vector<torch::Tensor> all = likelihood->parameters();
  ASSERT_EQ(all.size(), 2U);
  all.push_back(decoded);
  const torch::NoGradGuard no_grad;
  constexpr double step = 1e-6;
  for (torch::Tensor& tensor : all) {
    torch::Tensor flat = tensor.view(-1);
    const torch::Tensor gradient = tensor.grad().reshape(-1);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      const double before = flat[i].item<double>();
      flat[i] = before + step;
      const double above = likelihood->log_prob(decoded, x).sum().item<double>();
      flat[i] = before - step;
      const double below = likelihood->log_prob(decoded, x).sum().item<double>();
      flat[i] = before;
      EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * step), 1e-6);
    }
  }
}

TEST(Mixed, EncodersSeeTheLogarithmOfCounts) {
  const torch::Tensor x = two_rows(), seen = mixed(four_kinds)->encoder_input(x);
  EXPECT_NEAR(seen[0][2].item<double>(), std::log(5.0), 1e-12);
  EXPECT_TRUE(torch::equal(seen.narrow(1, 0, 2), x.narrow(1, 0, 2)));
  EXPECT_TRUE(torch::equal(seen.narrow(1, 3, 3), x.narrow(1, 3, 3)));
}

TEST(Mixed, NeedsToKnowItsColumns) { EXPECT_THROW(mixed("auto"), Error); }

}  // namespace
}  // namespace elbo
