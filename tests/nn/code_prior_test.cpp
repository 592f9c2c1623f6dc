#include "elbo/nn/code_prior.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "elbo/nn/distributions.h"

namespace elbo {
namespace {

constexpr int64_t code_count = 3;  // vectors in the codebook

const std::vector<CodeLayout> layouts = {
    {Grid{2, 3}}, {Grid{3, 2}}, {Grid{4, 1}}, {Grid{5}}, {Grid{2, 1, 3}}};

std::shared_ptr<CodePrior> small_prior(const CodeLayout& layout, int64_t seed = 1) {
  RandomGenerator init(Key(static_cast<uint64_t>(seed)));
  return make_code_prior({.width = 8, .layers = 3}, layout, code_count, init);
}

// (sizeᵗ, t): all sequences of t codes.
torch::Tensor all_sequences(int64_t t) {
  const std::vector<torch::Tensor> each(static_cast<size_t>(t), torch::arange(code_count));
  return torch::cartesian_prod(each).view({-1, t});
}

class EveryPrior : public testing::TestWithParam<CodeLayout> {};

TEST_P(EveryPrior, ACodeDependsOnAllCodesBeforeItAndOnNoOther) {
  const CodeLayout layout = GetParam();
  const auto prior = small_prior(layout);
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(2));
  const torch::Tensor codes = (noise.uniform({4, layout.codes()}) * code_count).to(torch::kInt64);
  const torch::Tensor before = prior->logits(codes);
  for (int64_t changed = 0; changed < layout.codes(); ++changed) {
    torch::Tensor other = codes.clone();
    other.select(1, changed).add_(1).remainder_(code_count);
    const torch::Tensor difference = (prior->logits(other) - before).abs().amax({0, 2});
    for (int64_t place = 0; place < layout.codes(); ++place) {
      const auto moved = difference[place].item<double>();
      if (place <= changed) {
        EXPECT_EQ(moved, 0) << place << " sees " << changed;
      } else {
        EXPECT_GT(moved, 0) << place << " does not see " << changed;
      }
    }
  }
}

TEST_P(EveryPrior, TheProbabilitiesOfAllSequencesSumToOne) {
  const torch::NoGradGuard no_grad;
  const auto prior = small_prior(GetParam());
  const torch::Tensor nll = prior->negative_log_likelihood(all_sequences(GetParam().codes()));
  EXPECT_NEAR((-nll).to(torch::kFloat64).exp().sum().item<double>(), 1, 1e-5);
  EXPECT_GT(nll.std().item<double>(), 0.01) << "they are not all the same";
}

TEST_P(EveryPrior, SamplesHaveTheFrequenciesThatTheirProbabilitiesSay) {
  const torch::NoGradGuard no_grad;
  const auto prior = small_prior(GetParam());
  const int64_t t = GetParam().codes(), n = 20000;
  const torch::Tensor sequences = all_sequences(t);
  const torch::Tensor expected = (-prior->negative_log_likelihood(sequences)).exp();
  RandomGenerator noise(Key(3));
  const torch::Tensor drawn = prior->sample(n, noise);
  torch::Tensor number = torch::zeros({n}, torch::kInt64);
  for (int64_t place = 0; place < t; ++place) number = number * code_count + drawn.select(1, place);
  const torch::Tensor counts = torch::bincount(number, {}, sequences.size(0)).to(torch::kFloat32);
  const torch::Tensor chi_square = ((counts - n * expected).square() / (n * expected)).sum();
  // Mean: degrees of freedom, k = sequences - 1; deviation √2k.
  const auto k = static_cast<double>(sequences.size(0) - 1);
  EXPECT_NEAR(chi_square.item<double>(), k, 4 * std::sqrt(2 * k));
}

// Whatever sample() keeps from one code to the next, its samples are those of ancestral sampling.
TEST_P(EveryPrior, SamplesEachCodeGivenThoseBefore) {
  const torch::NoGradGuard no_grad;
  const auto prior = small_prior(GetParam());
  RandomGenerator noise(Key(4)), same_noise(Key(4));
  torch::Tensor expected = torch::zeros({500, GetParam().codes()}, torch::kInt64);
  for (int64_t place = 0; place < GetParam().codes(); ++place)
    expected.select(1, place).copy_(
        sample_categorical(prior->logits(expected).select(1, place), 1, same_noise));
  EXPECT_TRUE(torch::equal(prior->sample(500, noise), expected));
}

INSTANTIATE_TEST_SUITE_P(Layouts, EveryPrior, testing::ValuesIn(layouts), [](const auto& tested) {
  return fmt::format("Codes{}", fmt::join(tested.param.grid, "x"));
});

}  // namespace
}  // namespace elbo
