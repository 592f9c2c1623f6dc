#include "elbo/eval/shared_points.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "elbo/base/index_range.h"
#include "elbo/base/random.h"
#include "ranks.h"

namespace elbo {
namespace {

class SharedPointsTest : public ::testing::Test {
 protected:
  static constexpr int64_t count = 103, width = 3;
  const torch::Tensor points = RandomGenerator(Key(1)).normal({count, width}).to(torch::kFloat64);

  // In parts of 10 and an empty one.
  SharedPoints own_points() const {
    std::vector<torch::Tensor> parts{points.slice(0, 0, 0)};
    for (int64_t first = 0; first < count; first += 10) parts.push_back(points.slice(0, first, first + 10));
    SharedPoints shared{.parts = std::ssize(parts), .own = {}};
    const IndexRange own = partition({0, shared.parts}, world().rank(), world().size());
    shared.own.assign(parts.begin() + own.first, parts.begin() + own.end);
    return shared;
  }
};

TEST_F(SharedPointsTest, AreAllThereInOrderOnEveryRank) {
  EXPECT_EQ(count_points(world(), own_points()), count);
  EXPECT_EQ(dimensions_of(world(), own_points()), width);
  EXPECT_TRUE(torch::equal(all_points(world(), own_points(), width), points));
}

TEST_F(SharedPointsTest, HaveTheirMoments) {
  Workers workers(2);
  const Moments moments = moments_of(world(), workers, own_points());
  EXPECT_EQ(moments.count, count);
  EXPECT_TRUE(torch::allclose(moments.mean, points.mean(0), 0, 1e-12));
  EXPECT_TRUE(torch::allclose(moments.variance, points.var(0, /*unbiased=*/false), 0, 1e-12));
}

}  // namespace
}  // namespace elbo
