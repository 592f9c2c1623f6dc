// Distributions of counts. Expected numbers are those of scipy 1.17, in float64.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood.h"

namespace elbo {
namespace {

constexpr const char* all_counts[] = {"poisson", "zero_inflated_poisson", "negative_binomial",
                                      "zero_inflated_negative_binomial"};

std::shared_ptr<Likelihood> make_counts(const LikelihoodOptions& options, int64_t elements,
                                        int64_t classes = 0) {
  return make_likelihood(options, {.shape = {elements}, .classes = classes});
}

// log p of one count, at the numbers that the decoder predicts for it.
double log_prob(const std::string& name, const std::vector<double>& decoded, double x) {
  const torch::Tensor params = torch::tensor(decoded, torch::kFloat64).to(torch::kFloat32).view({1, -1, 1});
  const auto likelihood = make_counts({.name = name, .dispersion = "gene-cell"}, 1);
  return likelihood->log_prob(params, torch::full({1, 1}, x, torch::kFloat32)).item<double>();
}

// scipy.stats.poisson.logpmf(x, mu)
TEST(Poisson, IsTheProbabilityOfScipy) {
  EXPECT_NEAR(log_prob("poisson", {std::log(0.1)}, 0), -0.1, 1e-6);
  EXPECT_NEAR(log_prob("poisson", {std::log(2.5)}, 3), -1.5428872736055896, 1e-6);
  EXPECT_NEAR(log_prob("poisson", {std::log(1e-3)}, 5), -39.32726813769273, 1e-4);
  // The decoder's float32 has log 1e6 to 5e-7 only, which is 5e-4 of a nat here.
  EXPECT_NEAR(log_prob("poisson", {std::log(1001000.0)}, 1e6), -8.326360812410712, 2e-3);
}

// scipy.stats.nbinom.logpmf(x, theta, theta / (theta + mu))
TEST(NegativeBinomial, IsTheProbabilityOfScipy) {
  const auto at = [](double mu, double theta, double x) {
    return log_prob("negative_binomial", {std::log(mu), std::log(theta)}, x);
  };
  EXPECT_NEAR(at(0.1, 0.5, 0), -0.0911607783969773, 1e-6);
  EXPECT_NEAR(at(2.5, 1.7, 3), -2.053503671937083, 1e-5);
  EXPECT_NEAR(at(50, 0.01, 1), -4.690544097704946, 1e-5);
  EXPECT_NEAR(at(9e5, 2, 1e6), -14.4407183628177, 1e-4);
  EXPECT_NEAR(at(3, 1e6, 7), -3.8348708411115098, 1e-4);
}

// numpy.log(pi * (x == 0) + (1 - pi) * scipy.stats.nbinom.pmf(x, theta, theta / (theta + mu)))
TEST(ZeroInflatedNegativeBinomial, IsTheMixtureWithAPointAtZero) {
  const auto at = [](double mu, double pi, double theta, double x) {
    return log_prob("zero_inflated_negative_binomial",
                    {std::log(mu), std::log(pi / (1 - pi)), std::log(theta)}, x);
  };
  EXPECT_NEAR(at(2, 0.3, 0.5, 0), -0.48930956841273676, 1e-6);
  EXPECT_NEAR(at(2, 0.3, 0.5, 4), -3.350650307842825, 1e-5);
  EXPECT_NEAR(at(50, 1e-3, 3, 0), -6.741244381736374, 1e-4);
}

TEST(Counts, AllProbabilitiesSumToOne) {
  for (const char* name : all_counts) {
    const auto likelihood = make_counts({.name = name}, 1);
    const torch::Tensor x = torch::arange(2000, torch::kFloat32).view({-1, 1});
    torch::Tensor decoded = torch::full({1, likelihood->param_channels(), 1}, -0.7F);
    decoded[0][0][0] = 1.2F;
    const torch::Tensor log_p = likelihood->log_prob(decoded.repeat({2000, 1, 1}), x);
    EXPECT_NEAR(log_p.to(torch::kFloat64).exp().sum().item<double>(), 1, 1e-5) << name;
  }
}

// μ = softmax over the row · Σx: the row (2, 0, 6) at logits log(1, 2, 5).
TEST(Counts, ALibraryDividesTheSumOfTheRow) {
  const torch::Tensor decoded = torch::tensor({1.0F, 2.0F, 5.0F}).log().view({1, 1, 3});
  const torch::Tensor x = torch::tensor({{2.0F, 0.0F, 6.0F}});
  const auto likelihood = make_counts({.name = "poisson", .library = "observed", .library_size = 80}, 3);
  // scipy.stats.poisson.logpmf([2, 0, 6], [1, 2, 5]).sum()
  EXPECT_NEAR(likelihood->log_prob(decoded, x).item<double>(), -5.615770917965445, 1e-5);
  const torch::Tensor mean = likelihood->mean(decoded);
  EXPECT_TRUE(torch::allclose(mean, torch::tensor({{10.0F, 20.0F, 50.0F}})));
  const torch::Tensor of_row = torch::tensor({{1.0F, 2.0F, 5.0F}});
  EXPECT_TRUE(torch::allclose(likelihood->choose(decoded, {.rows = x}), of_row));
  EXPECT_TRUE(likelihood->choose(decoded, {.how = Elements::mode, .rows = 10 * x}).le(50).all().item<bool>());
  EXPECT_TRUE(torch::allclose(make_counts({.name = "poisson"}, 3)->choose(decoded, {.rows = 7 * x}), of_row));
  // Several samples of z for each row.
  EXPECT_TRUE(torch::allclose(likelihood->choose(decoded.repeat({4, 1, 1}), {.rows = torch::cat({x, 2 * x})}),
                              torch::cat({of_row, 2 * of_row}).repeat({2, 1})));
  const torch::Tensor nothing = likelihood->log_prob(decoded, torch::zeros({1, 3}));
  EXPECT_NEAR(nothing.item<double>(), 0, 1e-5);
}

TEST(Counts, MissingElementsAreInNoTerm) {
  const torch::Tensor decoded = torch::tensor({1.0F, 2.0F, 5.0F}).log().view({1, 1, 3});
  const torch::Tensor x = torch::tensor({{2.0F, 0.0F, 6.0F}}), seen = torch::tensor({{1.0F, 0.0F, 1.0F}});
  const auto likelihood = make_counts({.name = "poisson"}, 3);
  // scipy.stats.poisson.logpmf([2, 6], [1, 5]).sum()
  EXPECT_NEAR(likelihood->log_prob(decoded, x, seen).item<double>(), -3.6157709, 1e-5);
}

TEST(NegativeBinomial, TheDispersionIsOfTheGeneTheBatchOrTheCell) {
  RandomGenerator noise(Key(2));
  const torch::Tensor x = (noise.uniform({4, 3}) * 9).floor(), decoded = noise.normal({4, 1, 3});
  const auto gene = make_counts({.name = "negative_binomial"}, 3);
  const auto cell = make_counts({.name = "negative_binomial", .dispersion = "gene-cell"}, 3);
  const auto batch = make_counts({.name = "negative_binomial", .dispersion = "gene-batch"}, 3, 2);
  EXPECT_EQ(gene->param_channels(), 1);
  EXPECT_EQ(cell->param_channels(), 2);
  EXPECT_EQ(batch->param_channels(), 1);
  EXPECT_EQ(gene->parameters()[0].sizes(), torch::IntArrayRef({3}));
  EXPECT_EQ(batch->parameters()[0].sizes(), torch::IntArrayRef({2, 3}));
  EXPECT_TRUE(cell->parameters().empty());

  const torch::NoGradGuard no_grad;
  const torch::Tensor of_gene = noise.normal({3}), of_batch = noise.normal({2, 3});
  gene->parameters()[0].copy_(of_gene);
  batch->parameters()[0].copy_(of_batch);
  const auto at_cell = [&](const torch::Tensor& log_theta) {
    return cell->log_prob(torch::cat({decoded, log_theta.expand({4, 3}).unsqueeze(1)}, 1), x);
  };
  EXPECT_TRUE(torch::allclose(gene->log_prob(decoded, x), at_cell(of_gene)));
  const torch::Tensor label = torch::tensor({1, 0, 0, 1});
  EXPECT_TRUE(torch::allclose(batch->log_prob(batch->with_label(decoded, label), x),
                              at_cell(of_batch.index_select(0, label))));
  // Two samples of z for each row.
  const torch::Tensor twice = batch->log_prob(batch->with_label(decoded.repeat({2, 1, 1}), label), x);
  EXPECT_TRUE(torch::allclose(twice, at_cell(of_batch.index_select(0, label)).repeat({2})));
}

TEST(NegativeBinomial, ADispersionOfTheBatchNeedsAConditionalModel) {
  try {
    make_counts({.name = "negative_binomial", .dispersion = "gene-batch"}, 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("model.dispersion=gene-batch: needs a model that is"));
  }
}

TEST(Counts, GradientsAreThoseOfFiniteDifferences) {
  for (const char* name : all_counts)
    for (const char* library : {"none", "observed"}) {
      const auto likelihood = make_counts({.name = name, .library = library, .dispersion = "gene-cell"}, 3);
      RandomGenerator noise(Key(9));
      const torch::Tensor x = (noise.uniform({2, 3}) * 4).floor().to(torch::kFloat64);
      torch::Tensor decoded =
          noise.normal({2, likelihood->param_channels(), 3}).to(torch::kFloat64).requires_grad_();
      likelihood->log_prob(decoded, x).sum().backward();
      const torch::NoGradGuard no_grad;
      const double step = 1e-5;
      torch::Tensor flat = decoded.view(-1), gradient = decoded.grad().reshape(-1);
      for (int64_t i = 0; i < flat.numel(); ++i) {
        const double before = flat[i].item<double>();
        flat[i] = before + step;
        const double above = likelihood->log_prob(decoded, x).sum().item<double>();
        flat[i] = before - step;
        const double below = likelihood->log_prob(decoded, x).sum().item<double>();
        flat[i] = before;
        EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * step), 1e-5) << name << library;
      }
    }
}

TEST(NegativeBinomial, ADispersionOfTheGeneHasTheGradientOfFiniteDifferences) {
  const auto likelihood = make_counts({.name = "negative_binomial"}, 2);
  RandomGenerator noise(Key(10));
  const torch::Tensor x = (noise.uniform({5, 2}) * 6).floor(), decoded = noise.normal({5, 1, 2});
  torch::Tensor log_theta = likelihood->parameters()[0];
  const auto total = [&] { return likelihood->log_prob(decoded, x).to(torch::kFloat64).sum(); };
  total().backward();
  const torch::NoGradGuard no_grad;
  for (int64_t i = 0; i < 2; ++i) {
    log_theta[i] += 0.01;
    const double above = total().item<double>();
    log_theta[i] -= 0.02;
    const double below = total().item<double>();
    log_theta[i] += 0.01;
    EXPECT_NEAR(log_theta.grad()[i].item<double>(), (above - below) / 0.02, 2e-3);
  }
}

// Values and gradients are finite for outputs of a network that has left every range.
TEST(Counts, StayFiniteForEveryOutputOfTheDecoder) {
  for (const char* name : all_counts)
    for (const char* library : {"none", "observed"})
      for (const float output : {-1e8F, -100.0F, 100.0F, 1e8F}) {
        const auto likelihood = make_counts({.name = name, .library = library, .dispersion = "gene-cell"}, 3);
        const torch::Tensor x = torch::tensor({{0.0F, 3.0F, 1e6F}});
        torch::Tensor decoded = torch::zeros({1, likelihood->param_channels(), 3});
        decoded.select(2, 0).fill_(output);
        decoded.requires_grad_();
        const torch::Tensor log_p = likelihood->log_prob(decoded, x).sum();
        log_p.backward();
        EXPECT_TRUE(std::isfinite(log_p.item<double>())) << name << output;
        EXPECT_TRUE(decoded.grad().isfinite().all().item<bool>()) << name << output;
        EXPECT_TRUE(likelihood->mean(decoded).isfinite().all().item<bool>()) << name << output;
      }
}

// The mean and the variance of samples are those of the distribution: μ, and μ + μ²/θ.
TEST(Counts, SamplesHaveTheMomentsOfTheDistribution) {
  constexpr int64_t n = 60000;
  for (const double mu : {0.05, 3.0, 40.0, 3000.0}) {
    const torch::Tensor decoded = torch::full({n, 1, 1}, std::log(mu));
    RandomGenerator noise(Key(12));
    const auto moments = [&](const std::string& name) {
      const torch::Tensor samples =
          make_counts({.name = name}, 1)->sample(decoded, noise).to(torch::kFloat64);
      EXPECT_TRUE(samples.equal(samples.floor()) && samples.ge(0).all().item<bool>());
      return std::pair(samples.mean().item<double>(), samples.var().item<double>());
    };
    const auto [poisson_mean, poisson_variance] = moments("poisson");
    EXPECT_NEAR(poisson_mean, mu, 5 * std::sqrt(mu / n));
    EXPECT_NEAR(poisson_variance, mu, 5 * mu * std::sqrt((2 + 1 / mu) / n));
    const auto [mean, variance] = moments("negative_binomial");  // θ = 1
    const double expected = mu + mu * mu;
    EXPECT_NEAR(mean, mu, 5 * std::sqrt(expected / n));
    EXPECT_NEAR(variance, expected, 0.12 * expected);
  }
}

TEST(Counts, SamplesHaveTheMeanThatItStates) {
  for (const char* name : all_counts)
    for (const char* library : {"none", "observed"}) {
      const auto likelihood =
          make_counts({.name = name, .library = library, .library_size = 12, .dispersion = "gene-cell"}, 3);
      RandomGenerator noise(Key(8));
      const torch::Tensor decoded = 0.5 * noise.normal({1, likelihood->param_channels(), 3});
      const torch::Tensor samples = likelihood->sample(decoded.expand({60000, -1, -1}).contiguous(), noise)
                                        .mean(0, false, torch::kFloat64);
      EXPECT_LT(((samples - likelihood->mean(decoded)[0]) / samples).abs().max().item<double>(), 0.06)
          << name;
    }
}

// The frequency of each number is its probability: χ² over cells with an expectation of 20 and more.
TEST(SamplePoisson, HasTheProbabilitiesOfPoisson) {
  constexpr int64_t n = 50000;
  for (const double mu : {0.7, 9.5, 10.0, 35.0}) {
    RandomGenerator noise(Key(13));
    const torch::Tensor samples = sample_poisson(torch::full({n}, mu, torch::kFloat64), noise);
    double chi_squared = 0, cells = 0;
    for (int64_t k = 0; k < 100; ++k) {
      const double expected =
          n * std::exp(static_cast<double>(k) * std::log(mu) - mu - std::lgamma(static_cast<double>(k) + 1));
      if (expected < 20) continue;
      const auto found = static_cast<double>(samples.eq(static_cast<double>(k)).sum().item<int64_t>());
      chi_squared += (found - expected) * (found - expected) / expected;
      ++cells;
    }
    EXPECT_LT(chi_squared, cells + 4 * std::sqrt(2 * cells)) << mu;
  }
}

// Gamma(α, 1) has the mean α and the variance α.
TEST(SampleGamma, HasTheMomentsOfGamma) {
  constexpr int64_t n = 100000;
  for (const double alpha : {0.1, 0.9, 1.0, 7.0}) {
    RandomGenerator noise(Key(14));
    const torch::Tensor samples = sample_gamma(torch::full({n}, alpha, torch::kFloat64), noise);
    EXPECT_NEAR(samples.mean().item<double>(), alpha, 5 * std::sqrt(alpha / n));
    EXPECT_NEAR(samples.var().item<double>(), alpha, 0.1 * alpha);
    // scipy.stats.gamma.median(0.1) = 0.000593391; half of the samples are below
    if (alpha == 0.1) {
      EXPECT_NEAR(samples.lt(0.000593391).to(torch::kFloat64).mean().item<double>(), 0.5, 0.01);
    }
  }
}

}  // namespace
}  // namespace elbo
