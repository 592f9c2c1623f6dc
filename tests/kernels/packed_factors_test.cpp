#include "elbo/kernels/packed_factors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>
#include <vector>

namespace elbo {
namespace {

std::vector<float> drawn(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

std::vector<float> multiplied(const MatrixView& a, const MatrixView& b, InstructionSet set) {
  std::vector<float> c(static_cast<size_t>(a.rows * b.columns));
  product(a, b, nullptr, c.data(), set);
  return c;
}

TEST(PackedFactors, ChangeNoBitOfAProduct) {
  constexpr int64_t depth = 700, columns = 219;
  std::vector<float> weights = drawn(depth * columns, 1);
  const MatrixView by_row{weights.data(), depth, columns, columns, 1};
  const MatrixView by_column = MatrixView{weights.data(), columns, depth, depth, 1}.transposed();
  PackedFactors factors(weights.data(), depth * columns);
  for (const InstructionSet set : {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512})
    for (const int64_t rows : {1, 4, 13, 100}) {
      if (!is_available(set)) continue;
      const std::vector<float> x = drawn(rows * depth, 2);
      const MatrixView a{x.data(), rows, depth, depth, 1};
      for (const MatrixView& b : {by_row, by_column}) {
        const std::vector<float> expected = multiplied(a, b, set);
        const PackedFactors::Use use(factors);
        EXPECT_EQ(multiplied(a, b, set), expected) << name_of(set) << rows;
        EXPECT_EQ(multiplied(a, b, set), expected) << name_of(set) << rows;
      }
    }
}

TEST(PackedFactors, ArePackedAgainInEachUse) {
  std::vector<float> weights(64, 1.0F);
  const std::vector<float> x(16, 1.0F), others(64, 3.0F);
  const MatrixView a{x.data(), 2, 8, 8, 1}, b{weights.data(), 8, 8, 8, 1}, other{others.data(), 8, 8, 8, 1};
  PackedFactors factors(weights.data(), 64);
  for (const float value : {1.0F, 2.0F}) {
    std::fill(weights.begin(), weights.end(), value);
    EXPECT_EQ(PackedFactors::find(b, 8), nullptr);
    const PackedFactors::Use use(factors);
    EXPECT_EQ(PackedFactors::find(other, 8), nullptr);
    EXPECT_NE(PackedFactors::find(b, 8), nullptr);
    EXPECT_EQ(multiplied(a, b, InstructionSet::portable), std::vector<float>(16, 8 * value));
  }
}

TEST(PackedFactors, AreSharedByThreads) {
  const std::vector<float> weights = drawn(100 * 90, 1), x = drawn(4 * 100, 2);
  const MatrixView a{x.data(), 4, 100, 100, 1}, b = MatrixView{weights.data(), 90, 100, 100, 1}.transposed();
  const std::vector<float> expected = multiplied(a, b, instruction_set());
  PackedFactors factors(weights.data(), 9000);
  for (int round = 0; round < 20; ++round) {
    const PackedFactors::Use use(factors);
    std::vector<std::vector<float>> results(4);
    std::vector<std::jthread> threads;
    threads.reserve(results.size());
    for (std::vector<float>& result : results)
      threads.emplace_back([&] { result = multiplied(a, b, instruction_set()); });
    threads.clear();
    for (const std::vector<float>& result : results) EXPECT_EQ(result, expected);
  }
}

}  // namespace
}  // namespace elbo
