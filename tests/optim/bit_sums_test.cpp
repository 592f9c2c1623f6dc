#include "elbo/optim/bit_sums.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cstring>

#include "elbo/optim/optimizer.h"
#include "elbo/parallel/flat_parameters.h"

namespace elbo {
namespace {

void flip(float& value, int bit) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits ^= uint32_t{1} << static_cast<unsigned>(bit);
  std::memcpy(&value, &bits, sizeof bits);
}

TEST(BitSums, FindsEachSingleBit) {
  std::vector<float> values(2 * block_elements, 0.5F);
  BitSums sums(2, 2 * block_elements);
  for (int bit = 0; bit < 32; ++bit) {
    sums.forget();
    sums.record(1, 0, values.data(), 2 * block_elements);
    sums.check(1, 0, values.data(), 2 * block_elements);
    EXPECT_FALSE(sums.damage());
    flip(values[block_elements + 7], bit);
    sums.check(1, 0, values.data(), 2 * block_elements);
    ASSERT_TRUE(sums.damage());
    EXPECT_EQ(sums.damage()->array, 1U);
    EXPECT_EQ(sums.damage()->element, block_elements);
  }
}

class OptimizerMemory : public ::testing::TestWithParam<const char*> {};

TEST_P(OptimizerMemory, IsSoundUntilABitChangesBetweenTwoUpdates) {
  OptimizerOptions options;
  options.name = GetParam();
  options.momentum = 0.9;
  const std::vector<torch::Tensor> shard{torch::ones({3 * block_elements}),
                                         torch::ones({40 * block_elements})};
  Optimizer optimizer(options, shard);
  Workers workers(2);
  const auto update = [&](int64_t number) {
    optimizer.step(shard, {torch::ones({3 * block_elements}), torch::ones({40 * block_elements})}, 0.1, 0.5,
                   number, workers);
  };
  for (int64_t number = 1; number < 4; ++number) update(number);
  EXPECT_FALSE(optimizer.damage());
  flip(*(optimizer.states().back().second.mutable_data_ptr<float>() + 5 * block_elements + 3), 2);
  update(4);
  ASSERT_TRUE(optimizer.damage());
  EXPECT_EQ(optimizer.damage()->element, 5 * block_elements);
  EXPECT_EQ(optimizer.damage()->array, optimizer.states().size());
  optimizer.remember(shard);
  flip(*shard[0].mutable_data_ptr<float>(), 30);
  update(5);
  EXPECT_EQ(optimizer.damage()->array, 0U);
  optimizer.remember(shard);
  update(5);
  update(6);
  EXPECT_FALSE(optimizer.damage());
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerMemory, ::testing::Values("adam", "adamax", "rmsprop", "sgd"));

}  // namespace
}  // namespace elbo
