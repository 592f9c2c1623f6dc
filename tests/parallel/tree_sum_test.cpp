#include "elbo/parallel/tree_sum.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <bit>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/random.h"

namespace elbo {
namespace {

std::vector<torch::Tensor> microbatches_of(int64_t count) {
  RandomGenerator noise(Key(static_cast<uint64_t>(count)));
  std::vector<torch::Tensor> microbatches;
  microbatches.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    microbatches.push_back(noise.normal({64}) * std::pow(10.0, static_cast<double>(i % 5)));
  return microbatches;
}

// The sum of the microbatches, partitioned among `owners`.
torch::Tensor sum_by(int64_t owners, const std::vector<torch::Tensor>& microbatches) {
  const auto count = static_cast<int64_t>(microbatches.size());
  std::vector<PartialSum> parts;
  for (int64_t owner = 0; owner < owners; ++owner) {
    TreeAccumulator accumulator(count, 64, torch::kCPU);
    const IndexRange own = partition({0, count}, owner, owners);
    for (int64_t microbatch = own.first; microbatch < own.end; ++microbatch) {
      const torch::Tensor& values = microbatches[static_cast<size_t>(microbatch)];
      accumulator.open(microbatch);
      // In two pieces, the second half first.
      for (const int64_t first : {32, 0}) {
        const torch::Tensor half = accumulator.buffer().narrow(0, first, 32);
        const torch::Tensor values_of_half = values.narrow(0, first, 32);
        accumulator.accumulates() ? half.add_(values_of_half) : half.copy_(values_of_half);
        accumulator.merge(first, first + 32);
      }
      EXPECT_LE(accumulator.parts().size(),
                static_cast<size_t>(std::bit_width(static_cast<uint64_t>(count))) + 1);
    }
    const std::vector<Node> expected = maximal_subtrees(own, count);
    EXPECT_EQ(accumulator.parts().size(), expected.size());
    for (const PartialSum& part : accumulator.parts()) parts.push_back({part.node, part.sum.clone()});
  }
  return canonical_sum({0, count}, parts);
}

TEST(CanonicalSum, HasTheSameBitsForEveryPartition) {
  for (int64_t count = 1; count <= 25; ++count) {
    const std::vector<torch::Tensor> microbatches = microbatches_of(count);
    const torch::Tensor alone = sum_by(1, microbatches);
    for (const int64_t owners : {2, 3, 4, 5, 6, 7, 8, 30})
      EXPECT_TRUE(torch::equal(alone, sum_by(owners, microbatches)))
          << count << " microbatches, " << owners << " owners";
  }
}

TEST(CanonicalSum, IsTheSumUpToRounding) {
  const std::vector<torch::Tensor> microbatches = microbatches_of(24);
  const torch::Tensor sum = sum_by(1, microbatches);
  for (int64_t i = 0; i < 64; ++i) {
    long double exact = 0, magnitude = 0;
    for (const torch::Tensor& microbatch : microbatches) {
      exact += static_cast<long double>(microbatch[i].item<float>());
      magnitude += std::abs(static_cast<long double>(microbatch[i].item<float>()));
    }
    // A tree of depth 5 has an error of at most five roundings.
    EXPECT_LE(std::abs(static_cast<long double>(sum[i].item<float>()) - exact), 5 * 0x1p-24L * magnitude);
  }
}

TEST(CanonicalSum, OfScalarsFollowsTheSameTree) {
  for (int64_t count = 1; count <= 25; ++count) {
    std::vector<double> values;
    std::vector<PartialSum> parts;
    for (int64_t i = 0; i < count; ++i) {
      values.push_back(std::pow(0.1, static_cast<double>(i % 7)) * static_cast<double>(i + 1));
      parts.push_back({{i, i + 1}, torch::tensor({values.back()}, torch::kFloat64)});
    }
    EXPECT_EQ(canonical_sum(values), canonical_sum({0, count}, parts).item<double>());
  }
  EXPECT_EQ(canonical_sum(std::vector<double>{}), 0);
}

TEST(TreeAccumulator, AddsWholeMicrobatchesInDoublePrecisionInTheSameTree) {
  for (int64_t count = 1; count <= 25; ++count) {
    std::vector<double> values;
    values.reserve(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) values.push_back(std::pow(0.1, static_cast<double>(i % 7)));
    for (const int64_t owners : {1, 2, 3, 7}) {
      std::vector<PartialSum> parts;
      for (int64_t owner = 0; owner < owners; ++owner) {
        const IndexRange own = partition({0, count}, owner, owners);
        TreeAccumulator accumulator(count, 1, torch::kFloat64);
        for (int64_t i = own.first; i < own.end; ++i)
          accumulator.add(i, torch::tensor({values[static_cast<size_t>(i)]}, torch::kFloat64));
        parts.insert(parts.end(), accumulator.parts().begin(), accumulator.parts().end());
      }
      const std::vector<PartialSum> sums = subtree_sums({0, count}, count, parts);
      ASSERT_EQ(sums.size(), 1U);
      EXPECT_EQ(sums.front().sum.item<double>(), canonical_sum(values)) << count << ", " << owners;
    }
  }
}

TEST(CanonicalSum, AMissingMicrobatchIsAnError) {
  EXPECT_THROW(canonical_sum({0, 3}, {{{0, 1}, torch::zeros({1})}, {{2, 3}, torch::zeros({1})}}), Error);
}

TEST(Tree, SplitsAtTheLargestPowerOfTwoBelowItsCount) {
  EXPECT_EQ(split_point({0, 2}), 1);
  EXPECT_EQ(split_point({0, 7}), 4);
  EXPECT_EQ(split_point({0, 8}), 4);
  EXPECT_EQ(split_point({4, 7}), 6);
  EXPECT_TRUE(are_siblings({0, 4}, {4, 7}, 7));
  EXPECT_FALSE(are_siblings({2, 4}, {4, 6}, 7));
}

TEST(Partition, CoversTheRangeOnceAndEvenly) {
  for (int64_t n = 0; n <= 20; ++n)
    for (int64_t owners = 1; owners <= 9; ++owners) {
      int64_t next = 0;
      for (int64_t owner = 0; owner < owners; ++owner) {
        const IndexRange part = partition({0, n}, owner, owners);
        EXPECT_EQ(part.first, next);
        EXPECT_GE(part.size(), n / owners);
        EXPECT_LE(part.size(), n / owners + 1);
        next = part.end;
      }
      EXPECT_EQ(next, n);
    }
}

}  // namespace
}  // namespace elbo
