#include "elbo/kernels/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace elbo {
namespace {

std::vector<InstructionSet> available_sets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set : {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512})
    if (is_available(set)) sets.push_back(set);
  return sets;
}

std::vector<float> random_floats(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(generator);
  return values;
}

MatrixView stored(const std::vector<float>& values, int64_t rows, int64_t columns, bool by_column) {
  if (by_column) return {values.data(), rows, columns, 1, rows};
  return {values.data(), rows, columns, columns, 1};
}

float at(const MatrixView& x, int64_t row, int64_t column) {
  return x.data[row * x.row_stride + column * x.column_stride];
}

// The definition.
std::vector<float> chains(const MatrixView& a, const MatrixView& b, const float* start) {
  std::vector<float> c(static_cast<size_t>(a.rows * b.columns));
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < b.columns; ++j) {
      float sum = start == nullptr ? 0.0F : start[j];
      for (int64_t k = 0; k < a.columns; ++k) sum = std::fma(at(a, i, k), at(b, k, j), sum);
      c[static_cast<size_t>(i * b.columns + j)] = sum;
    }
  return c;
}

TEST(Product, EveryElementIsOneChainOfFusedMultiplyAddsWhateverTheInstructions) {
  const std::vector<InstructionSet> sets = available_sets();
  struct Sizes {
    int64_t m, n, k;
  };
  // Tiles with rests in all directions, panels with rests, blocks of the depth, both ways to copy, one row,
  // nothing.
  for (const auto& [m, n, k] : {Sizes{1, 1, 1},
                                {3, 5, 2},
                                {7, 33, 19},
                                {12, 32, 64},
                                {13, 31, 3},
                                {25, 47, 100},
                                {1, 200, 70},
                                {40, 3, 50},
                                {17, 70, 1300},
                                {64, 129, 600},
                                {130, 20, 40},
                                {5, 300, 33},
                                {4, 6, 0}})
    for (const bool a_by_column : {false, true})
      for (const bool b_by_column : {false, true})
        for (const bool with_start : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << m << "×" << n << "×" << k << " " << a_by_column << b_by_column << with_start);
          const std::vector<float> left = random_floats(m * k, 1), right = random_floats(k * n, 2),
                                   start = random_floats(n, 3);
          const MatrixView a = stored(left, m, k, a_by_column), b = stored(right, k, n, b_by_column);
          const float* const first = with_start ? start.data() : nullptr;
          const std::vector<float> expected = chains(a, b, first);
          for (const InstructionSet set : sets) {
            std::vector<float> c(expected.size(), 7.0F);
            product(a, b, first, c.data(), set);
            ASSERT_EQ(c, expected) << name_of(set);
          }
        }
}

TEST(Product, ARowDoesNotDependOnTheOthers) {
  const int64_t m = 37, n = 50, k = 90;
  const std::vector<float> left = random_floats(m * k, 4), right = random_floats(k * n, 5);
  std::vector<float> together(static_cast<size_t>(m * n)), alone(static_cast<size_t>(n));
  const MatrixView b = stored(right, k, n, true);
  product(stored(left, m, k, false), b, nullptr, together.data());
  for (int64_t i = 0; i < m; ++i) {
    product({left.data() + i * k, 1, k, k, 1}, b, nullptr, alone.data());
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), together.begin() + i * n)) << i;
  }
}

TEST(Product, SumsMayBeAddedToWhatIsThere) {
  struct Sizes {
    int64_t m, n, k;
  };
  // Tiles with rests; so deep that the product takes several blocks; a product that is computed transposed.
  for (const auto& [m, n, k] :
       {Sizes{1, 1, 1}, {13, 31, 3}, {25, 47, 100}, {7, 300, 1300}, {64, 129, 600}, {130, 500, 9}})
    for (const bool a_by_column : {false, true})
      for (const bool b_by_column : {false, true}) {
        SCOPED_TRACE(testing::Message() << m << "×" << n << "×" << k << " " << a_by_column << b_by_column);
        const std::vector<float> left = random_floats(m * k, 1), right = random_floats(k * n, 2),
                                 before = random_floats(m * n, 3);
        const MatrixView a = stored(left, m, k, a_by_column), b = stored(right, k, n, b_by_column);
        std::vector<float> expected = chains(a, b, nullptr);
        for (size_t i = 0; i < expected.size(); ++i) expected[i] = before[i] + expected[i];
        for (const InstructionSet set : available_sets()) {
          std::vector<float> c = before;
          add_sums(a, b, c.data(), set);
          ASSERT_EQ(c, expected) << name_of(set);
        }
      }
}

TEST(Product, NotANumberStaysOne) {
  std::vector<float> left(10, 1.0F), right(10, 1.0F), c(1);
  left[3] = std::nanf("");
  product({left.data(), 1, 10, 10, 1}, {right.data(), 10, 1, 1, 1}, nullptr, c.data());
  EXPECT_TRUE(std::isnan(c[0]));
}

TEST(Product, MayContinueChainsAndBeInDoublePrecision) {
  const int64_t m = 5, n = 21, k = 9;
  const std::vector<float> left = random_floats(m * k, 6), right = random_floats(k * n, 7);
  const MatrixView a = stored(left, m, k, false), b = stored(right, k, n, false);
  // The chain over all k is the chain over the first four, continued by the others.
  std::vector<float> whole(static_cast<size_t>(m * n)), parts(whole.size());
  product(a, b, nullptr, whole.data());
  product({left.data(), m, 4, k, 1}, {right.data(), 4, n, n, 1}, nullptr, parts.data());
  add_product({left.data() + 4, m, k - 4, k, 1}, {right.data() + 4 * n, k - 4, n, n, 1}, parts.data());
  EXPECT_EQ(parts, whole);

  const std::vector<double> precise_left(left.begin(), left.end()), precise_right(right.begin(), right.end());
  std::vector<double> precise(whole.size());
  product(precise_left.data(), precise_right.data(), m, k, n, precise.data());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += static_cast<double>(at(a, i, l)) * static_cast<double>(at(b, l, j));
      EXPECT_EQ(precise[static_cast<size_t>(i * n + j)], sum);
    }
}

}  // namespace
}  // namespace elbo
