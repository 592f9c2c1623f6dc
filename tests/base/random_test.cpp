#include "elbo/base/random.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <map>
#include <set>

namespace elbo {
namespace {

TEST(Key, DependsOnEveryPartAndTheirOrder) {
  const Key key(1);
  std::set<uint64_t> seen{key.value(),
                          Key(2).value(),
                          key.with("a").value(),
                          key.with("b").value(),
                          key.with("a").with("b").value(),
                          key.with("b").with("a").value(),
                          key.with("ab").value()};
  for (uint64_t i = 0; i < 1000; ++i) seen.insert(key.with(i).value());
  for (uint64_t i = 0; i < 1000; ++i) seen.insert(key.with(uint64_t{7}).with(i).value());
  EXPECT_EQ(seen.size(), 2007U);
}

TEST(RandomGenerator, DependsOnItsKeyOnly) {
  const torch::Tensor once = RandomGenerator(Key(5)).normal({100});
  EXPECT_TRUE(torch::equal(once, RandomGenerator(Key(5)).normal({100})));
  EXPECT_FALSE(torch::equal(once, RandomGenerator(Key(6)).normal({100})));
}

TEST(RandomGenerator, UsesEveryBitOfItsKey) {
  // Pairs of keys with equal lower 32 bits, which are all that LibTorch's own seed would use.
  std::map<uint32_t, Key> seen;
  int64_t pairs = 0;
  for (uint64_t i = 0; i < 300000; ++i) {
    const Key key = Key(9).with(i);
    const auto [other, is_new] = seen.emplace(static_cast<uint32_t>(key.value()), key);
    if (is_new) continue;
    ++pairs;
    EXPECT_FALSE(
        torch::equal(RandomGenerator(key).uniform({8}), RandomGenerator(other->second).uniform({8})));
  }
  EXPECT_GT(pairs, 0);
}

TEST(RandomGenerator, HasTheMomentsOfItsDistributions) {
  RandomGenerator noise(Key(5));
  const int64_t n = 200000;  // standard errors: 0.0022 and 0.0032; 0.0006; 0.001
  const torch::Tensor normal = noise.normal({n});
  EXPECT_NEAR(normal.mean().item<double>(), 0, 0.01);
  EXPECT_NEAR(normal.var().item<double>(), 1, 0.015);
  const torch::Tensor uniform = noise.uniform({n});
  EXPECT_NEAR(uniform.mean().item<double>(), 0.5, 0.003);
  EXPECT_GE(uniform.min().item<double>(), 0);
  EXPECT_LT(uniform.max().item<double>(), 1);
  EXPECT_NEAR(noise.bernoulli(torch::full({n}, 0.3)).mean().item<double>(), 0.3, 0.005);
}

TEST(RandomGenerator, DoesNotUseTheGlobalGenerator) {
  torch::manual_seed(3);
  const torch::Tensor expected = torch::rand({4});
  torch::manual_seed(3);
  RandomGenerator noise(Key(1));
  noise.normal({10});
  noise.uniform({10});
  noise.bernoulli(torch::full({10}, 0.5));
  EXPECT_TRUE(torch::equal(torch::rand({4}), expected));
}

TEST(Permutation, IsABijectionForEverySize) {
  for (const uint64_t n : {1U,  2U,  3U,   4U,   5U,   7U,   8U,   9U,   31U,   32U,
                           33U, 97U, 127U, 128U, 129U, 255U, 256U, 257U, 1009U, 4097U}) {
    const Permutation permutation(n, Key(n));
    std::vector<uint64_t> image;
    for (uint64_t i = 0; i < n; ++i) image.push_back(permutation(i));
    std::ranges::sort(image);
    for (uint64_t i = 0; i < n; ++i) ASSERT_EQ(image[i], i) << "of " << n;
  }
}

TEST(Permutation, MapsAnIndexUniformly) {
  // Over many keys the image of one index is uniform. χ² with 15 degrees of freedom exceeds 37.7 with
  // probability 0.001.
  std::vector<double> counts(16, 0);
  const int samples = 16000;
  for (int key = 0; key < samples; ++key) ++counts[Permutation(16, Key(static_cast<uint64_t>(key)))(3)];
  double chi_square = 0;
  for (const double count : counts)
    chi_square += (count - samples / 16.0) * (count - samples / 16.0) / (samples / 16.0);
  EXPECT_LT(chi_square, 37.7);
}

}  // namespace
}  // namespace elbo
