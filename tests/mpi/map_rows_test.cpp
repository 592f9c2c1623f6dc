#include "elbo/eval/map_rows.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "ranks.h"

namespace elbo {
namespace {

// Ranks have different numbers of workers, and there are rounds in which some ranks have few rows or none.
TEST(MapRows, RankZeroTakesEveryRowOnceInOrder) {
  constexpr int64_t microbatch = 8;
  Workers workers(1 + environment().rank() % 2);
  for (const int64_t rows : {1, 8, 97}) {
    std::vector<torch::Tensor> pairs, numbers;
    int64_t taken = 0;
    map_rows(
        world(), workers, rows, microbatch, {{"pair", {2}}, {"number", {}}},
        [&](int worker, int64_t index, int64_t first, int64_t end) -> std::vector<torch::Tensor> {
          EXPECT_LT(worker, workers.count());
          EXPECT_EQ(first, index * microbatch);
          EXPECT_EQ(end, std::min(first + microbatch, rows));
          const torch::Tensor id = torch::arange(first, end, torch::kFloat32);
          return {torch::stack({id * 2, id + static_cast<float>(index)}, 1), -id};
        },
        [&](int64_t first, const std::vector<torch::Tensor>& outputs) {
          EXPECT_EQ(first, taken);
          pairs.push_back(outputs.at(0));
          numbers.push_back(outputs.at(1));
          taken += outputs.at(1).size(0);
        });
    if (world().rank() != 0) {
      EXPECT_EQ(taken, 0) << "only rank 0 takes rows";
      continue;
    }
    ASSERT_EQ(taken, rows);
    const torch::Tensor id = torch::arange(rows, torch::kFloat32);
    EXPECT_TRUE(torch::equal(torch::cat(numbers), -id));
    EXPECT_TRUE(torch::equal(torch::cat(pairs), torch::stack({id * 2, id + id.div(microbatch, "floor")}, 1)));
  }
}

}  // namespace
}  // namespace elbo
