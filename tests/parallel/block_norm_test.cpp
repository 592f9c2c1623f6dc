#include "elbo/parallel/block_norm.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "elbo/base/random.h"
#include "elbo/parallel/flat_parameters.h"
#include "gpu_stand_in/stand_in.h"

namespace elbo {
namespace {

TEST(BlockSquareSums, AgreeWithLongDoubleForAnyNumberOfWorkers) {
  constexpr int64_t blocks = 5;
  RandomGenerator noise(Key(1));
  const torch::Tensor values = noise.normal({blocks * block_elements}) * 1e3;
  Workers alone(1), three(3);
  const std::vector<double> sums = block_square_sums(values, alone);
  ASSERT_EQ(sums.size(), static_cast<size_t>(blocks));
  for (int64_t block = 0; block < blocks; ++block) {
    long double expected = 0;
    for (int64_t i = 0; i < block_elements; ++i) {
      const auto value = static_cast<long double>(values.const_data_ptr<float>()[block * block_elements + i]);
      expected += value * value;
    }
    EXPECT_NEAR(sums[static_cast<size_t>(block)] / static_cast<double>(expected), 1, 1e-14);
  }
  EXPECT_EQ(block_square_sums(values, three), sums);
  const GpuStandIn gpu;
  EXPECT_EQ(block_square_sums(values, alone), sums);
}

TEST(BlockSquareSums, PropagateInfinity) {
  torch::Tensor values = torch::zeros({2 * block_elements});
  values[block_elements + 3] = INFINITY;
  Workers alone(1);
  const std::vector<double> sums = block_square_sums(values, alone);
  EXPECT_EQ(sums[0], 0);
  EXPECT_TRUE(std::isinf(sums[1]));
}

}  // namespace
}  // namespace elbo
