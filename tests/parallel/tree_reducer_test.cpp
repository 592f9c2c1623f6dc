#include "elbo/parallel/tree_reducer.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <numeric>

#include "elbo/base/random.h"

namespace elbo {
namespace {

constexpr int64_t elements = 8, microbatch_count = 13;

torch::Tensor values_of(int64_t microbatch) {
  RandomGenerator noise(Key(static_cast<uint64_t>(microbatch)));
  return noise.normal({elements}) * 100;
}

// Each worker's sums of its microbatches.
std::vector<TreeAccumulator> accumulated(const std::vector<IndexRange>& workers) {
  std::vector<TreeAccumulator> result;
  for (const IndexRange& own : workers) {
    TreeAccumulator& sums = result.emplace_back(microbatch_count, elements, torch::kCPU);
    for (int64_t microbatch = own.first; microbatch < own.end; ++microbatch) {
      sums.open(microbatch);
      sums.accumulates() ? sums.buffer().add_(values_of(microbatch))
                         : sums.buffer().copy_(values_of(microbatch));
      sums.merge(0, elements);
    }
  }
  return result;
}

std::vector<PartialSum> expected_sums(IndexRange local) {
  std::vector<PartialSum> parts;
  for (int64_t microbatch = local.first; microbatch < local.end; ++microbatch)
    parts.push_back({{microbatch, microbatch + 1}, values_of(microbatch)});
  std::vector<PartialSum> sums;
  for (const Node& node : maximal_subtrees(local, microbatch_count))
    sums.push_back({node, canonical_sum(node, parts)});
  return sums;
}

// Two buckets: the workers arrive at the first in every order, and at the second in the reverse order.
TEST(TreeReducer, GivesTheCanonicalSumForEveryOrderOfArrival) {
  for (const IndexRange local : {IndexRange{0, 13}, IndexRange{3, 10}, IndexRange{5, 7}, IndexRange{4, 5}}) {
    std::vector<IndexRange> workers;
    workers.reserve(4);
    for (int64_t worker = 0; worker < 4; ++worker) workers.push_back(partition(local, worker, 4));
    const std::vector<PartialSum> expected = expected_sums(local);
    TreeReducer reducer(local, workers, microbatch_count, 2);
    std::vector<size_t> order(workers.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      const std::vector<TreeAccumulator> sums = accumulated(workers);
      reducer.reset();
      size_t pending = static_cast<size_t>(
          std::ranges::count_if(workers, [](const IndexRange& own) { return own.size() > 0; }));
      for (size_t i = 0; i < order.size(); ++i) {
        EXPECT_EQ(reducer.complete(0), pending == 0);
        if (workers[order[i]].size() > 0) --pending;
        reducer.arrive(order[i], 0, 0, 4, sums);
        reducer.arrive(order[order.size() - 1 - i], 1, 4, elements, sums);
      }
      EXPECT_TRUE(reducer.complete(0) && reducer.complete(1));
      const std::vector<PartialSum> found = reducer.sums(sums);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].node.first, expected[i].node.first);
        EXPECT_EQ(found[i].node.end, expected[i].node.end);
        EXPECT_TRUE(torch::equal(found[i].sum, expected[i].sum));
      }
    } while (std::ranges::next_permutation(order).found);
  }
}

TEST(TreeReducer, OfARankWithoutMicrobatchesIsComplete) {
  const TreeReducer reducer({3, 3}, {{3, 3}, {3, 3}}, microbatch_count, 1);
  EXPECT_TRUE(reducer.complete(0));
  EXPECT_TRUE(reducer.sums({}).empty());
}

}  // namespace
}  // namespace elbo
