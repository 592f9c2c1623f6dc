#include "elbo/kernels/sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace elbo {
namespace {

template <typename Number>
std::vector<Number> random_numbers(int64_t count) {
  std::mt19937 generator(3);
  std::normal_distribution<Number> normal;
  std::vector<Number> values(static_cast<size_t>(count));
  for (Number& value : values) value = normal(generator);
  return values;
}

// As sums.h says it, number by number.
template <typename Number>
Number defined_sum(const std::vector<Number>& x) {
  std::array<Number, 16> total{};
  for (size_t block = 0; block < x.size(); block += 1024) {
    std::array<Number, 16> partial{};
    for (size_t i = block; i < std::min(block + 1024, x.size()); ++i) partial.at(i % 16) += x[i];
    for (size_t lane = 0; lane < 16; ++lane) total.at(lane) += partial.at(lane);
  }
  for (size_t distance = 8; distance > 0; distance /= 2)
    for (size_t lane = 0; lane < distance; ++lane) total.at(lane) += total.at(lane + distance);
  return total[0];
}

TEST(Sum, HasTheDefinedOrderForEveryCount) {
  for (const int64_t n : {0, 1, 2, 15, 16, 17, 100, 1023, 1024, 1025, 1040, 5001}) {
    const std::vector<float> x = random_numbers<float>(n);
    EXPECT_EQ(sum(x.data(), n), defined_sum(x)) << n;
    const std::vector<double> precise = random_numbers<double>(n);
    EXPECT_EQ(sum(precise.data(), n), defined_sum(precise)) << n;
  }
}

TEST(Sum, KeepsItsDigitsOverManyNumbers) {
  const std::vector<float> tenths(1'000'000, 0.1F);
  EXPECT_NEAR(sum(tenths.data(), 1'000'000), 100'000, 2);  // one chain would be 958 off
}

TEST(ColumnSums, AddOverAscendingRows) {
  const std::vector<float> x = {1e8F, 1, 1.0F, 2, -1e8F, 3, 0.5F, 4};
  std::vector<float> sums(2);
  column_sums(x.data(), 4, 2, sums.data());
  EXPECT_EQ(sums, (std::vector<float>{((1e8F + 1.0F) - 1e8F) + 0.5F, 10}));
  const std::vector<double> precise = {1e17, 1.0, -1e17};
  double result = 7;
  column_sums(precise.data(), 3, 1, &result);
  EXPECT_EQ(result, (1e17 + 1.0) - 1e17);
}

}  // namespace
}  // namespace elbo
