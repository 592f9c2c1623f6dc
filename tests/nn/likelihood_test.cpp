#include "elbo/nn/likelihood.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "elbo/base/error.h"

namespace elbo {
namespace {

std::shared_ptr<Likelihood> make(const std::string& name, const std::string& variance = "auto",
                                 double scale = 1, int64_t levels = 256) {
  return make_likelihood({.name = name, .variance = variance, .scale = scale, .levels = levels},
                         {.unit_images = true});
}

// Expects the sum over the row of `log_prob(parameters of an element, x)`: decoded (n, param_channels, d), x
// (n, d).
void expect_density(const Likelihood& likelihood, const torch::Tensor& decoded, const torch::Tensor& x,
                    const std::function<double(const std::vector<double>&, double)>& log_prob) {
  const torch::Tensor found = likelihood.log_prob(decoded, x);
  for (int64_t row = 0; row < x.size(0); ++row) {
    double expected = 0;
    for (int64_t i = 0; i < x.size(1); ++i) {
      std::vector<double> params;
      for (int64_t channel = 0; channel < decoded.size(1); ++channel)
        params.push_back(decoded[row][channel][i].item<double>());
      expected += log_prob(params, x[row][i].item<double>());
    }
    EXPECT_NEAR(found[row].item<double>(), expected, 1e-4 * std::max(1.0, std::abs(expected)));
  }
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

TEST(Bernoulli, IsTheCrossEntropyOfItsLogits) {
  RandomGenerator noise(Key(1));
  expect_density(*make("bernoulli"), 3 * noise.normal({4, 1, 6}), noise.uniform({4, 6}),
                 [](const std::vector<double>& logit, double x) {
                   const double p = logistic(logit[0]);
                   return x * std::log(p) + (1 - x) * std::log(1 - p);
                 });
}

TEST(Bernoulli, StaysFiniteForExtremeLogits) {
  const torch::Tensor decoded = torch::tensor({200.0F, -200.0F}).view({1, 1, 2});
  EXPECT_NEAR(make("bernoulli")->log_prob(decoded, torch::tensor({{1.0F, 0.0F}})).item<double>(), 0, 1e-6);
  EXPECT_NEAR(make("bernoulli")->log_prob(decoded, torch::tensor({{0.0F, 1.0F}})).item<double>(), -400, 1e-3);
}

// Integrals of C λ^x (1-λ)^(1-x) by the trapezoidal rule, and its value at 0.3.
TEST(ContinuousBernoulli, IsADensityWithItsMean) {
  const auto likelihood = make_likelihood({.name = "continuous_bernoulli"}, {.shape = {1}});
  const torch::Tensor logits = torch::tensor({3.0F, -7.0F, 0.05F}).view({3, 1, 1});
  const torch::Tensor log_p = likelihood->log_prob(logits, torch::full({3, 1}, 0.3));
  const torch::Tensor mean = likelihood->mean(logits);
  const double expected[3][2] = {{-0.9503185303891907, 0.7190623631579227},
                                 {-0.1531775529618477, 0.14194442860392112},
                                 {-0.010104164496613917, 0.5041664930658918}};
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(log_p[i].item<double>(), expected[i][0], 1e-6);
    EXPECT_NEAR(mean[i].item<double>(), expected[i][1], 1e-6);
  }
  const torch::Tensor extreme = torch::tensor({0.0F, 90.0F, -90.0F}).view({3, 1, 1});
  EXPECT_TRUE(likelihood->log_prob(extreme, torch::full({3, 1}, 0.5)).isfinite().all().item<bool>());
  EXPECT_NEAR(likelihood->log_prob(extreme, torch::full({3, 1}, 0.5))[0].item<double>(), 0, 1e-6)
      << "uniform";
}

TEST(Gaussian, FixedIsTheNormalDensity) {
  RandomGenerator noise(Key(2));
  const double sigma = 0.7;
  expect_density(*make("gaussian", "fixed", sigma), noise.normal({3, 1, 5}), noise.normal({3, 5}),
                 [&](const std::vector<double>& mean, double x) {
                   return -0.5 * std::pow((x - mean[0]) / sigma, 2) -
                          std::log(sigma * std::sqrt(2 * std::numbers::pi));
                 });
}

TEST(Gaussian, LearnedBeginsAtTheFixedScaleAndHasAGradient) {
  RandomGenerator noise(Key(2));
  const torch::Tensor decoded = noise.normal({3, 1, 5}), x = noise.normal({3, 5});
  const auto learned = make("gaussian", "learned", 0.7);
  const torch::Tensor density = learned->log_prob(decoded, x);
  EXPECT_TRUE(torch::allclose(density, make("gaussian", "fixed", 0.7)->log_prob(decoded, x)));
  ASSERT_EQ(learned->parameters().size(), 1U);
  density.sum().backward();
  // d/dlogσ Σ -r²/(2σ²) - log σ = Σ r²/σ² - 1
  const torch::Tensor expected = ((x - decoded.squeeze(1)).square() / (0.7 * 0.7) - 1).sum();
  EXPECT_NEAR(learned->parameters()[0].grad().item<double>(), expected.item<double>(), 1e-3);
}

TEST(Gaussian, PredictedTakesTheScaleFromTheSecondChannel) {
  RandomGenerator noise(Key(3));
  const auto likelihood = make("gaussian", "predicted");
  EXPECT_EQ(likelihood->param_channels(), 2);
  expect_density(*likelihood, noise.normal({3, 2, 5}), noise.normal({3, 5}),
                 [](const std::vector<double>& params, double x) {
                   const double log_sigma = std::log1p(std::exp(params[1] + 6)) - 6;
                   return -0.5 * std::pow((x - params[0]) / std::exp(log_sigma), 2) - log_sigma -
                          0.5 * std::log(2 * std::numbers::pi);
                 });
}

TEST(Laplace, IsTheLaplaceDensity) {
  RandomGenerator noise(Key(4));
  expect_density(*make("laplace", "fixed", 0.4), noise.normal({3, 1, 5}), noise.normal({3, 5}),
                 [](const std::vector<double>& location, double x) {
                   return -std::abs(x - location[0]) / 0.4 - std::log(0.8);
                 });
}

// scipy.stats.t.logpdf(x, df, loc=0.3, scale=0.7).
TEST(StudentT, IsTheDensityOfScipy) {
  const torch::Tensor location = torch::full({1, 1, 1}, 0.3F);
  const auto log_prob = [&](double degrees, float x) {
    const auto likelihood =
        make_likelihood({.name = "student_t", .scale = 0.7, .degrees = degrees}, {.shape = {1}});
    return likelihood->log_prob(location, torch::full({1, 1}, x)).item<double>();
  };
  EXPECT_NEAR(log_prob(4, -2.0F), -3.8942967981333876, 1e-5);
  EXPECT_NEAR(log_prob(4, 0.3F), -0.6241543090729937, 1e-5);
  EXPECT_NEAR(log_prob(4, 5.0F), -6.892130617346355, 1e-5);
  EXPECT_NEAR(log_prob(2.5, 50.0F), -13.976703106608007, 1e-4);
}

TEST(StudentT, SamplesHaveItsVarianceAndItsTails) {
  const auto likelihood = make_likelihood({.name = "student_t", .scale = 0.5, .degrees = 9}, {.shape = {1}});
  RandomGenerator noise(Key(11));
  const torch::Tensor samples = likelihood->sample(torch::zeros({200000, 1, 1}), noise).to(torch::kFloat64);
  EXPECT_NEAR(samples.square().mean().item<double>(), 0.25 * 9 / 7, 0.005);  // s² ν / (ν - 2)
  // scipy.stats.t.sf(4, df=9) * 2
  EXPECT_NEAR(samples.abs().gt(4 * 0.5).to(torch::kFloat64).mean().item<double>(), 0.0031104, 0.0006);
}

// The probabilities of all levels of an element sum to one.
void expect_normalised(const Likelihood& likelihood, const torch::Tensor& params, int64_t levels) {
  const torch::Tensor x = torch::linspace(0, 1, levels).view({levels, 1});
  const torch::Tensor decoded = params.view({1, -1, 1}).expand({levels, -1, 1}).contiguous();
  EXPECT_NEAR(likelihood.log_prob(decoded, x).to(torch::kFloat64).exp().sum().item<double>(), 1, 1e-4);
}

TEST(DiscretizedLogistic, IsAProbabilityOverTheLevels) {
  for (const int64_t levels : {2, 32, 256}) {
    const auto likelihood = make("discretized_logistic", "fixed", 0.05, levels);
    for (const float location : {-0.3F, 0.0F, 0.4F, 1.1F})
      expect_normalised(*likelihood, torch::tensor({location}), levels);
  }
}

TEST(DiscretizedLogistic, IsTheMassBetweenTheBordersOfTheBin) {
  RandomGenerator noise(Key(5));
  const torch::Tensor x = (noise.uniform({4, 6}) * 255).round() / 255;
  expect_density(*make("discretized_logistic", "fixed", 0.1), noise.uniform({4, 1, 6}), x,
                 [](const std::vector<double>& location, double value) {
                   const double half = 0.5 / 255;
                   const double upper = value > 1 - half ? 1 : logistic((value + half - location[0]) / 0.1);
                   const double lower = value < half ? 0 : logistic((value - half - location[0]) / 0.1);
                   return std::log(upper - lower);
                 });
}

TEST(Categorical, IsTheSoftmaxOfItsChannels) {
  RandomGenerator noise(Key(6));
  const auto likelihood = make("categorical", "auto", 1, 8);
  EXPECT_EQ(likelihood->param_channels(), 8);
  expect_normalised(*likelihood, noise.normal({8}), 8);
  const torch::Tensor x = (noise.uniform({3, 4}) * 7).round() / 7;
  expect_density(*likelihood, noise.normal({3, 8, 4}), x,
                 [](const std::vector<double>& params, double value) {
                   double total = 0;
                   for (const double param : params) total += std::exp(param);
                   return params[static_cast<size_t>(std::lround(value * 7))] - std::log(total);
                 });
}

TEST(Likelihood, ComparesSeveralSamplesWithOneRow) {
  RandomGenerator noise(Key(7));
  const torch::Tensor decoded = noise.normal({6, 1, 5}), x = noise.uniform({2, 5});
  const torch::Tensor together = make("bernoulli")->log_prob(decoded, x);
  const torch::Tensor repeated = make("bernoulli")->log_prob(decoded, x.repeat({3, 1}));
  EXPECT_TRUE(torch::allclose(together, repeated));
}

// Two samples of z for each of two rows, with values that all likelihoods are defined for.
struct MaskedCase {
  std::shared_ptr<Likelihood> likelihood;
  torch::Tensor decoded, x, observed;  // (4, param_channels, 6), (2, 6), (2, 6)
};

MaskedCase masked_case(const std::string& name) {
  const auto likelihood = make(name, "auto", 0.3, 8);
  RandomGenerator noise(Key(10));
  return {likelihood, noise.normal({4, likelihood->param_channels(), 6}),
          (noise.uniform({2, 6}) * 7).round() / 7, noise.uniform({2, 6}) < 0.5};
}

const char* const all_likelihoods[] = {"bernoulli",   "gaussian",   "laplace", "discretized_logistic",
                                       "categorical", "multinomial"};

TEST(Likelihood, AMaskOfOnesCountsAllElements) {
  for (const char* name : all_likelihoods) {
    const MaskedCase all = masked_case(name);
    EXPECT_TRUE(torch::allclose(all.likelihood->log_prob(all.decoded, all.x, torch::ones({2, 6})),
                                all.likelihood->log_prob(all.decoded, all.x)))
        << name;
  }
}

// log p of a row of one element is that of the element.
TEST(Likelihood, AMaskSumsOverObservedElements) {
  for (const char* name : {"bernoulli", "gaussian", "laplace", "discretized_logistic", "categorical"}) {
    const MaskedCase all = masked_case(name);
    torch::Tensor expected = torch::zeros({4});
    for (int64_t i = 0; i < 6; ++i)
      expected += all.likelihood->log_prob(all.decoded.narrow(2, i, 1), all.x.narrow(1, i, 1)) *
                  all.observed.select(1, i).repeat({2});
    EXPECT_TRUE(torch::allclose(all.likelihood->log_prob(all.decoded, all.x, all.observed), expected))
        << name;
  }
}

TEST(Multinomial, AMaskLeavesOutEventsOfMissingElements) {
  const MaskedCase all = masked_case("multinomial");
  const torch::Tensor log_p = all.decoded.squeeze(1).log_softmax(1);
  EXPECT_TRUE(torch::allclose(all.likelihood->log_prob(all.decoded, all.x, all.observed),
                              (log_p * (all.x * all.observed).repeat({2, 1})).sum(1)));
}

TEST(Likelihood, MissingElementsHaveNoEffectAndNoGradient) {
  for (const char* name : all_likelihoods) {
    const MaskedCase all = masked_case(name);
    if (name != std::string("multinomial")) {  // whose probabilities are normalised over the row
      const torch::Tensor decoded = all.decoded.clone().requires_grad_();
      all.likelihood->log_prob(decoded, all.x, all.observed).sum().backward();
      const torch::Tensor missing = ~all.observed.repeat({2, 1}).unsqueeze(1).expand_as(decoded);
      EXPECT_EQ(decoded.grad().masked_select(missing).abs().sum().item<double>(), 0) << name;
    }
    EXPECT_TRUE(torch::equal(all.likelihood->log_prob(all.decoded, all.x * all.observed, all.observed),
                             all.likelihood->log_prob(all.decoded, all.x, all.observed)))
        << name;
  }
}

TEST(Gaussian, AMaskedRowIsTheDensityOfItsObservedElements) {
  const torch::Tensor decoded = torch::tensor({{{0.5F, -1.0F, 2.0F}}}),
                      x = torch::tensor({{1.0F, 0.0F, 5.0F}});
  const torch::Tensor observed = torch::tensor({{true, false, true}});
  // -(0.5² + 3²)/(2·4) - 2 log 2 - log 2π
  const double expected = -9.25 / 8 - 2 * std::log(2) - std::log(2 * std::numbers::pi);
  EXPECT_NEAR(make("gaussian", "fixed", 2)->log_prob(decoded, x, observed).item<double>(), expected, 1e-5);
}

TEST(Likelihood, SamplesHaveTheMeanThatItStates) {
  for (const char* name :
       {"bernoulli", "continuous_bernoulli", "gaussian", "laplace", "student_t", "categorical"}) {
    const auto likelihood = make(name, "auto", 0.1, 16);
    RandomGenerator noise(Key(8));
    const torch::Tensor decoded = noise.normal({1, likelihood->param_channels(), 3});
    const torch::Tensor samples = likelihood->sample(decoded.expand({40000, -1, -1}).contiguous(), noise)
                                      .mean(0, false, torch::kFloat64);
    EXPECT_LT((samples - likelihood->mean(decoded)[0]).abs().max().item<double>(), 0.015) << name;
  }
}

std::shared_ptr<Likelihood> make_for_elements(const std::string& name) {
  LikelihoodOptions options{.name = name, .scale = 0.05, .levels = 16};
  if (name == "mixed") options.columns = "gaussian,bernoulli,count,categorical:3";
  return make_likelihood(options, {.shape = {6}});
}

TEST(Likelihood, NoSampleIsMoreProbableThanTheMode) {
  for (const char* name :
       {"bernoulli", "gaussian", "laplace", "categorical", "discretized_logistic", "multinomial", "poisson",
        "zero_inflated_poisson", "negative_binomial", "zero_inflated_negative_binomial", "mixed"}) {
    const auto likelihood = make_for_elements(name);
    RandomGenerator noise(Key(10));
    const torch::NoGradGuard no_grad;
    const torch::Tensor decoded = noise.normal({1, likelihood->param_channels(), 6});
    const torch::Tensor many = decoded.expand({2000, -1, -1}).contiguous();
    const torch::Tensor of_samples = likelihood->log_prob(many, likelihood->sample(many, noise));
    const torch::Tensor of_mode = likelihood->log_prob(decoded, likelihood->mode(decoded));
    EXPECT_GE(of_mode.item<double>(), of_samples.max().item<double>() - 1e-4) << name;
  }
}

// Of low temperature all samples are near the mean or, of categories, the mode; at 1 they are samples.
TEST(Likelihood, TheTemperatureSharpensSamples) {
  for (const char* name : {"bernoulli", "gaussian", "laplace", "student_t", "categorical",
                           "discretized_logistic", "multinomial", "poisson", "negative_binomial", "mixed"}) {
    const auto likelihood = make_for_elements(name);
    RandomGenerator noise(Key(11)), same(Key(12)), again(Key(12));
    const torch::NoGradGuard no_grad;
    const torch::Tensor decoded = 2 * noise.normal({1, likelihood->param_channels(), 6});
    const torch::Tensor many = decoded.expand({500, -1, -1}).contiguous();
    EXPECT_TRUE(torch::equal(likelihood->sample(many, same), likelihood->sample(many, again, 1))) << name;
    const auto spread = [&](double temperature) {
      return likelihood->sample(many, noise, temperature).std(0).sum().item<double>();
    };
    EXPECT_LT(spread(1e-4), 1e-2) << name;
    EXPECT_LT(spread(0.3), spread(1)) << name;
  }
}

TEST(Likelihood, GradientsAreThoseOfFiniteDifferences) {
  for (const char* name : {"bernoulli", "continuous_bernoulli", "gaussian", "laplace", "student_t",
                           "discretized_logistic", "categorical"}) {
    const auto likelihood = make(name, "auto", 0.3, 8);
    RandomGenerator noise(Key(9));
    const torch::Tensor x = (noise.uniform({2, 3}) * 7).round().to(torch::kFloat64) / 7;
    torch::Tensor decoded =
        noise.normal({2, likelihood->param_channels(), 3}).to(torch::kFloat64).requires_grad_();
    likelihood->log_prob(decoded, x).sum().backward();
    const torch::NoGradGuard no_grad;
    const double step = 1e-6;
    torch::Tensor flat = decoded.view(-1), gradient = decoded.grad().reshape(-1);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      const double before = flat[i].item<double>();
      flat[i] = before + step;
      const double above = likelihood->log_prob(decoded, x).sum().item<double>();
      flat[i] = before - step;
      const double below = likelihood->log_prob(decoded, x).sum().item<double>();
      flat[i] = before;
      EXPECT_NEAR(gradient[i].item<double>(), (above - below) / (2 * step), 1e-4) << name;
    }
  }
}

TEST(Likelihood, EachStatesItsSupport) {
  for (const char* name : {"bernoulli", "categorical", "discretized_logistic"})
    EXPECT_EQ(likelihood_support(name), Support::unit_interval) << name;
  for (const char* name : {"gaussian", "laplace", "student_t", "auto"})
    EXPECT_EQ(likelihood_support(name), Support::real) << name;
  EXPECT_EQ(likelihood_support("multinomial"), Support::non_negative);
  for (const char* name :
       {"poisson", "zero_inflated_poisson", "negative_binomial", "zero_inflated_negative_binomial"})
    EXPECT_EQ(likelihood_support(name), Support::counts) << name;
}

TEST(Likelihood, FollowsTheKindOfDataByDefault) {
  EXPECT_THROW(make_likelihood({.name = "poison"}, {}), Error);
  EXPECT_FALSE(make_likelihood({}, {})->discrete());                    // auto: gaussian
  EXPECT_TRUE(make_likelihood({}, {.unit_images = true})->discrete());  // auto: bernoulli
}

}  // namespace
}  // namespace elbo
