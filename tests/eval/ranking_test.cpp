#include "elbo/eval/ranking.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

namespace elbo {
namespace {

TEST(Ranking, IsTheDiscountedGainOfHeldOutItems) {
  const torch::Tensor scores = torch::tensor({{5.0F, 4.0F, 3.0F, 2.0F, 1.0F, 0.0F}});
  const torch::Tensor x = torch::tensor({{1.0F, 1.0F, 0.0F, 1.0F, 0.0F, 1.0F}});
  const torch::Tensor seen = torch::tensor({{1.0F, 0.0F, 0.0F, 0.0F, 0.0F, 1.0F}});
  // Held out: 1 and 3. The order of what was not seen is 1, 2, 3, 4: gains at the places 1 and 3.
  const Ranking found = rank_items(scores, x, seen);
  EXPECT_EQ(found.rows, 1);
  EXPECT_NEAR(found.ndcg_100, (1 + 1 / std::log2(4)) / (1 + 1 / std::log2(3)), 1e-12);
  EXPECT_NEAR(found.recall_20, 1, 1e-12);
}

TEST(Ranking, RecallCountsTheFirstPlacesOnly) {
  constexpr int64_t items = 200;
  const torch::Tensor scores = -torch::arange(items).to(torch::kFloat32).unsqueeze(0);  // 0 is ranked first
  torch::Tensor x = torch::zeros({1, items});
  for (const int64_t item : {10, 30, 70, 150}) x[0][item] = 1;
  const Ranking found = rank_items(scores, x, torch::zeros_like(x));
  EXPECT_NEAR(found.recall_20, 1.0 / 4, 1e-12);
  EXPECT_NEAR(found.recall_50, 2.0 / 4, 1e-12);
  const double best = 1 + 1 / std::log2(3) + 1 / std::log2(4) + 1 / std::log2(5);
  EXPECT_NEAR(found.ndcg_100, (1 / std::log2(12) + 1 / std::log2(32) + 1 / std::log2(72)) / best, 1e-12);
  // With more held-out items than places, a full list is the best.
  EXPECT_NEAR(rank_items(scores, torch::ones_like(x), torch::zeros_like(x)).recall_20, 1, 1e-12);
}

TEST(Ranking, HoldsOutAFifthOfEachRowByItsNumber) {
  RandomGenerator noise(Key(1));
  const torch::Tensor x = (noise.uniform({6, 300}) < 0.2).to(torch::kFloat32), ids = torch::arange(6);
  x[3].zero_();
  x[4].zero_();
  x[4][7] = 1;
  const torch::Tensor seen = hold_out_interactions(x, ids, Key(2));
  for (const int64_t row : {0, 1, 2, 5}) {
    const auto count = x[row].sum().item<int64_t>();
    EXPECT_EQ((x[row] - seen[row]).sum().item<int64_t>(), count / 5);
  }
  EXPECT_TRUE(torch::equal(seen[3], x[3]));
  EXPECT_TRUE(torch::equal(seen[4], x[4]));  // one interaction only
  const torch::Tensor reversed = hold_out_interactions(x.flip(0), ids.flip(0), Key(2));
  EXPECT_TRUE(torch::equal(reversed.flip(0), seen));
  EXPECT_EQ(rank_items(x, x, seen).rows, 4);
}

}  // namespace
}  // namespace elbo
