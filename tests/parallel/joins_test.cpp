#include "parallel/joins.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace elbo {
namespace {

constexpr int64_t elements = 8, leaves = 13;

torch::Tensor values_of(int64_t leaf) {
  Noise noise(Key(static_cast<uint64_t>(leaf)));
  return noise.normal({elements}) * 100;
}

// What each worker has of its leaves.
std::vector<LeafAccumulator> accumulated(const std::vector<LeafRange>& workers) {
  std::vector<LeafAccumulator> result;
  for (const LeafRange& own : workers) {
    LeafAccumulator& sums = result.emplace_back(leaves, elements, torch::kCPU);
    for (int64_t leaf = own.first; leaf < own.end; ++leaf) {
      sums.open(leaf);
      sums.accumulates() ? sums.buffer().add_(values_of(leaf)) : sums.buffer().copy_(values_of(leaf));
      sums.merge(0, elements);
    }
  }
  return result;
}

std::vector<Part> expected_sums(LeafRange of_rank) {
  std::vector<Part> parts;
  for (int64_t leaf = of_rank.first; leaf < of_rank.end; ++leaf)
    parts.push_back({{leaf, leaf + 1}, values_of(leaf)});
  std::vector<Part> sums;
  for (const Node& node : maximal_subtrees(of_rank, leaves))
    sums.push_back({node, canonical_sum(node, parts)});
  return sums;
}

// Two buckets, to which workers come in every order, and in the opposite one.
TEST(Joins, HaveTheCanonicalSumWhoeverComesLast) {
  for (const LeafRange of_rank : {LeafRange{0, 13}, LeafRange{3, 10}, LeafRange{5, 7}, LeafRange{4, 5}}) {
    std::vector<LeafRange> workers;
    workers.reserve(4);
    for (int64_t worker = 0; worker < 4; ++worker) workers.push_back(share_of(of_rank, worker, 4));
    const std::vector<Part> expected = expected_sums(of_rank);
    Joins joins(of_rank, workers, leaves, 2);
    std::vector<size_t> order(workers.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      const std::vector<LeafAccumulator> sums = accumulated(workers);
      joins.reset();
      size_t to_come = static_cast<size_t>(
          std::ranges::count_if(workers, [](const LeafRange& own) { return own.size() > 0; }));
      for (size_t i = 0; i < order.size(); ++i) {
        EXPECT_EQ(joins.complete(0), to_come == 0);
        if (workers[order[i]].size() > 0) --to_come;
        joins.arrive(order[i], 0, 0, 4, sums);
        joins.arrive(order[order.size() - 1 - i], 1, 4, elements, sums);
      }
      EXPECT_TRUE(joins.complete(0) && joins.complete(1));
      const std::vector<Part> found = joins.sums(sums);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].node.first, expected[i].node.first);
        EXPECT_EQ(found[i].node.end, expected[i].node.end);
        EXPECT_TRUE(torch::equal(found[i].sum, expected[i].sum));
      }
    } while (std::ranges::next_permutation(order).found);
  }
}

TEST(Joins, OfARankWithoutLeavesAreComplete) {
  const Joins joins({3, 3}, {{3, 3}, {3, 3}}, leaves, 1);
  EXPECT_TRUE(joins.complete(0));
  EXPECT_TRUE(joins.sums({}).empty());
}

}  // namespace
}  // namespace elbo
