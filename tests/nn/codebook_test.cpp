#include "elbo/nn/codebook.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <cmath>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr int64_t code_dim = 3;

CodebookOptions ema(int64_t size, double decay, double restart_below = 0) {
  return {.size = size, .learning = "ema", .decay = decay, .restart_below = restart_below};
}

torch::Tensor values(const Codebook& codebook) { return codebook.vectors(torch::arange(codebook.size())); }

TEST(Codebook, TheNearestVectorIsTheNearestOfAll) {
  RandomGenerator noise(Key(1));
  const Codebook codebook(ema(20, 0.9), code_dim, noise);
  const torch::Tensor z = 0.5 * noise.normal({4, 5, code_dim});
  const torch::Tensor expected =
      torch::cdist(z.view({-1, code_dim}), values(codebook)).argmin(1).view({4, 5});
  EXPECT_TRUE(torch::equal(codebook.nearest(z), expected));
  EXPECT_GT(std::get<0>(torch::_unique(expected)).numel(), 5);
}

// f(e) = Σ e³ has the gradient 3e² at the quantised point, whatever z is.
TEST(Codebook, TheStraightThroughGradientReachesTheEncoder) {
  RandomGenerator noise(Key(2));
  const Codebook codebook(ema(8, 0.9), code_dim, noise);
  const torch::Tensor z = noise.normal({2, 4, code_dim}).requires_grad_();
  const torch::Tensor e = codebook.vectors(codebook.nearest(z));
  const torch::Tensor passed = straight_through(z, e);
  EXPECT_TRUE(torch::equal(passed, e)) << "the decoder must see the codebook's bits";
  passed.pow(3).sum().backward();
  EXPECT_TRUE(torch::allclose(z.grad(), 3 * e.square()));
}

TEST(Codebook, CommitmentAndCodebookLossHaveTheGradientsOfFiniteDifferences) {
  RandomGenerator noise(Key(3));
  const torch::Tensor z = noise.normal({2, 4, code_dim}).to(torch::kFloat64).requires_grad_();
  const torch::Tensor e = noise.normal({2, 4, code_dim}).to(torch::kFloat64).requires_grad_();
  const double h = 1e-5;
  const auto slope = [&](const auto& loss, bool of_z) {
    torch::Tensor result = torch::zeros_like(z);
    for (int64_t i = 0; i < z.numel(); ++i) {
      torch::Tensor step = torch::zeros({z.numel()}, torch::kFloat64);
      step[i] = h;
      step = step.view_as(z);
      const torch::Tensor above = of_z ? loss(z + step, e) : loss(z, e + step);
      const torch::Tensor below = of_z ? loss(z - step, e) : loss(z, e - step);
      result.view(-1)[i] = (above - below).sum().detach() / (2 * h);
    }
    return result;
  };
  commitment_loss(z, e).sum().backward();
  EXPECT_TRUE(torch::allclose(z.grad(), slope(commitment_loss, true), 1e-6, 1e-8));
  EXPECT_FALSE(e.grad().defined()) << "the commitment loss moves the encoder alone";
  z.mutable_grad().reset();
  codebook_loss(z, e).sum().backward();
  EXPECT_TRUE(torch::allclose(e.grad(), slope(codebook_loss, false), 1e-6, 1e-8));
  EXPECT_FALSE(z.grad().defined()) << "the codebook loss moves the codebook alone";
}

// Van den Oord et al. 2017, appendix A.1, as a sum over steps instead of a recursion:
// N = γᵀ + (1-γ) Σ γ^(T-t) n_t, and m in the same way from the first vector.
TEST(Codebook, MovingAveragesAreTheClosedFormOfThePaper) {
  RandomGenerator noise(Key(4));
  constexpr double gamma = 0.7;
  constexpr int64_t size = 4, steps = 6;
  Codebook codebook(ema(size, gamma), code_dim, noise);
  torch::Tensor uses = torch::full({size}, std::pow(gamma, steps), torch::kFloat64);
  torch::Tensor sums = values(codebook).to(torch::kFloat64) * std::pow(gamma, steps);
  for (int64_t step = 0; step < steps; ++step) {
    const torch::Tensor z = noise.normal({10, code_dim});
    const torch::Tensor codes = codebook.nearest(z);
    const double weight = (1 - gamma) * std::pow(gamma, steps - 1 - step);
    for (int64_t row = 0; row < z.size(0); ++row) {
      const auto code = codes[row].item<int64_t>();
      uses[code] += weight;
      sums[code] += weight * z[row].to(torch::kFloat64);
    }
    codebook.update_statistics(codebook.statistics(z, codes, true, noise));
  }
  EXPECT_TRUE(torch::allclose(values(codebook).to(torch::kFloat64), sums / uses.unsqueeze(1), 1e-5, 1e-6));
}

TEST(Codebook, AnUnusedVectorDoesNotMove) {
  RandomGenerator noise(Key(5));
  Codebook codebook(ema(2, 0.5), 1, noise);
  const torch::Tensor unused = values(codebook)[1].clone();
  const torch::Tensor z = torch::full({3, 1}, 0.25), codes = torch::zeros({3}, torch::kInt64);
  for (int step = 0; step < 2000; ++step)
    codebook.update_statistics(codebook.statistics(z, codes, false, noise));
  EXPECT_TRUE(torch::equal(values(codebook)[1], unused));
  EXPECT_NEAR(values(codebook)[0].item<double>(), 0.25, 1e-6);
}

TEST(Codebook, StatisticsOfHalvesAddUpToThoseOfTheWhole) {
  RandomGenerator noise(Key(6));
  const Codebook codebook(ema(7, 0.9, 0.1), code_dim, noise);
  // Multiples of 1/256 add without rounding.
  const torch::Tensor z = (noise.normal({12, 4, code_dim}) * 256).round() / 256;
  const torch::Tensor codes = codebook.nearest(z);
  RandomGenerator one(Key(7)), two(Key(7)), unused(Key(8));
  const torch::Tensor whole = codebook.statistics(z, codes, true, one);
  const torch::Tensor first = codebook.statistics(z.narrow(0, 0, 6), codes.narrow(0, 0, 6), true, two);
  const torch::Tensor second = codebook.statistics(z.narrow(0, 6, 6), codes.narrow(0, 6, 6), false, unused);
  const int64_t averages = 7 * (1 + code_dim);
  EXPECT_TRUE(torch::equal(whole.narrow(0, 0, averages), (first + second).narrow(0, 0, averages)));
  EXPECT_EQ(whole.narrow(0, 0, 7).sum().item<int64_t>(), 12 * 4);
  // Only one half provides candidates for restarts.
  const int64_t candidates = whole.numel() - averages;
  EXPECT_TRUE(
      torch::equal((first + second).narrow(0, averages, candidates), first.narrow(0, averages, candidates)));
}

TEST(Codebook, AVectorBelowTheThresholdRestartsFromAnEncoding) {
  RandomGenerator noise(Key(9));
  Codebook codebook(ema(5, 0.5, 0.3), code_dim, noise);
  const torch::Tensor z = 10 + noise.normal({6, code_dim}), codes = torch::zeros({6}, torch::kInt64);
  const torch::Tensor before = values(codebook).clone();
  codebook.update_statistics(codebook.statistics(z, codes, true, noise));  // N of the unused: 0.5
  EXPECT_TRUE(torch::equal(values(codebook).narrow(0, 1, 4), before.narrow(0, 1, 4)));
  codebook.update_statistics(codebook.statistics(z, codes, true, noise));  // 0.25
  for (int64_t code = 1; code < 5; ++code)
    EXPECT_TRUE((z == values(codebook)[code]).all(1).any().item<bool>()) << code;
  const torch::Tensor restarted = values(codebook).clone();
  codebook.update_statistics(codebook.statistics(z + 1, codes, true, noise));
  EXPECT_TRUE(torch::equal(values(codebook).narrow(0, 1, 4), restarted.narrow(0, 1, 4)))
      << "a new vector gets time to be used";
}

TEST(Codebook, PerplexityIsThatOfTheFrequencies) {
  const CodebookUsage even = codebook_usage(torch::arange(8).view({2, 4}), 16);
  EXPECT_NEAR(even.perplexity.item<double>(), 8, 1e-5);
  EXPECT_EQ(even.used.item<double>(), 8);
  const CodebookUsage uneven = codebook_usage(torch::tensor({3, 3, 3, 5}), 16);
  EXPECT_NEAR(uneven.perplexity.item<double>(), std::exp(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)),
              1e-5);
  EXPECT_EQ(uneven.used.item<double>(), 2);
}

TEST(Codebook, RefusesOneLargerThanMemory) {
  RandomGenerator noise(Key(10));
  try {
    const Codebook codebook(ema(1 << 24, 0.9), 1 << 20, noise);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("model.codebook_size=16777216"));
  }
}

}  // namespace
}  // namespace elbo
