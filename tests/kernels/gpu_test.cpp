// The kernels for GPUs, on the stand-in, have the bits of the CPU's.
#include "elbo/kernels/gpu.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <tuple>
#include <vector>

#include "elbo/kernels/functions.h"
#include "elbo/kernels/patches.h"
#include "elbo/kernels/product.h"
#include "elbo/kernels/sums.h"
#include "gpu_stand_in/stand_in.h"

namespace elbo {
namespace {

// Of all magnitudes between 2⁻⁴ and 2⁴, with zeros of both signs.
template <typename Number = float>
std::vector<Number> random_numbers(int64_t n, uint32_t seed) {
  std::mt19937 words(seed);
  std::vector<Number> numbers(static_cast<size_t>(n));
  for (Number& x : numbers) {
    const auto word = static_cast<uint32_t>(words());
    const auto size = static_cast<Number>(static_cast<double>(word >> 8U) * 0x1p-24 * 4 - 2);
    x = word % 31 == 0
            ? static_cast<Number>(word % 2 == 0 ? 0.0 : -0.0)
            : static_cast<Number>(std::ldexp(static_cast<double>(size), static_cast<int>(word % 8) - 4));
  }
  return numbers;
}

// Equal bits; any NaN is as good as another.
template <typename Number>
void expect_same(const std::vector<Number>& found, const std::vector<Number>& expected) {
  using Bits = std::conditional_t<sizeof(Number) == 4, uint32_t, uint64_t>;
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    ASSERT_TRUE(std::bit_cast<Bits>(found[i]) == std::bit_cast<Bits>(expected[i]) ||
                (std::isnan(found[i]) && std::isnan(expected[i])))
        << i << ": " << found[i] << ", on the CPU " << expected[i];
}

template <typename Number>
std::vector<Number> arguments() {
  std::vector<Number> x = random_numbers<Number>(3001, 1);
  for (int exponent = -160; exponent < 160; ++exponent)
    for (const double factor : {1.0, -1.0, 1.37, -1.73})
      x.push_back(static_cast<Number>(std::ldexp(factor, exponent)));
  for (const double special :
       {INFINITY * 1.0, -INFINITY * 1.0, NAN * 1.0, 0.0, -0.0, 88.72, -103.9, 0.625, 8.0})
    x.push_back(static_cast<Number>(special));
  return x;
}

template <typename Number>
void expect_same_functions() {
  const GpuStandIn gpu;
  const std::vector<Number> x = arguments<Number>();
  const auto n = static_cast<int64_t>(x.size());
  for (int number = 0; number <= static_cast<int>(Elementary::digamma); ++number) {
    SCOPED_TRACE(number);
    const auto function = static_cast<Elementary>(number);
    std::vector<Number> found(x.size()), expected(x.size());
    gpu::map(function, x.data(), n, found.data());
    map(function, x.data(), n, expected.data());
    expect_same(found, expected);
  }
}

TEST(GpuKernels, FunctionsHaveTheBitsOfCpus) {
  expect_same_functions<float>();
  expect_same_functions<double>();
}

struct Case {
  int64_t rows, depth, columns;
};

// start: 0 none, 1 a value for each column, 2 the values of C.
void expect_same_product(const Case& size, bool a_transposed, bool b_transposed, int start) {
  const auto [rows, depth, columns] = size;
  SCOPED_TRACE(testing::Message() << rows << "×" << depth << "×" << columns << " " << a_transposed
                                  << b_transposed << start);
  const std::vector<float> a = random_numbers(rows * depth, 1), b = random_numbers(depth * columns, 2);
  const std::vector<float> bias = random_numbers(columns, 3);
  const MatrixView a_view = {a.data(), rows, depth, a_transposed ? 1 : depth, a_transposed ? rows : 1};
  const MatrixView b_view = {b.data(), depth, columns, b_transposed ? 1 : columns, b_transposed ? depth : 1};
  std::vector<float> expected = random_numbers(rows * columns, 4), found = expected;
  if (start == 2)
    add_product(a_view, b_view, expected.data());
  else
    product(a_view, b_view, start == 1 ? bias.data() : nullptr, expected.data());
  gpu::product(ProductTask<float>{.batches = 1,
                                  .rows = rows,
                                  .depth = depth,
                                  .columns = columns,
                                  .a = a_view.data,
                                  .a_batch = 0,
                                  .a_row = a_view.row_stride,
                                  .a_depth = a_view.column_stride,
                                  .b = b_view.data,
                                  .b_batch = 0,
                                  .b_depth = b_view.row_stride,
                                  .b_column = b_view.column_stride,
                                  .start = start == 0 ? nullptr : (start == 1 ? bias.data() : found.data()),
                                  .start_batch = 0,
                                  .start_row = start == 2 ? columns : 0,
                                  .start_column = 1,
                                  .c = found.data()});
  expect_same(found, expected);
}

TEST(GpuKernels, ProductsHaveTheBitsOfCpus) {
  const GpuStandIn gpu;
  const Case sizes[] = {{1, 1, 1},    {3, 0, 5},    {0, 4, 5},     {1, 784, 20}, {17, 33, 31},
                        {32, 32, 32}, {33, 31, 65}, {64, 100, 40}, {7, 2500, 3}};
  for (const Case& size : sizes)
    for (const bool a_transposed : {false, true})
      for (const bool b_transposed : {false, true})
        for (const int start : {0, 1, 2}) expect_same_product(size, a_transposed, b_transposed, start);
}

// Enough tiles for the larger ones.
TEST(GpuKernels, LargeProductsHaveTheBitsOfCpus) {
  const GpuStandIn gpu;
  expect_same_product({700, 19, 770}, false, true, 1);    // tiles of 64
  expect_same_product({1500, 17, 1301}, true, false, 2);  // tiles of 128
  expect_same_product({1409, 16, 1409}, false, false, 0);
}

TEST(GpuKernels, BatchesOfProductsMayRepeatAFactor) {
  const GpuStandIn gpu;
  constexpr int64_t batches = 3, rows = 5, depth = 40, columns = 9;
  const std::vector<float> a = random_numbers(batches * rows * depth, 1),
                           b = random_numbers(depth * columns, 2);
  std::vector<float> found(batches * rows * columns), expected(found.size());
  product({a.data(), batches * rows, depth, depth, 1}, {b.data(), depth, columns, columns, 1}, nullptr,
          expected.data());
  gpu::product(ProductTask<float>{batches, rows, depth, columns, a.data(), rows * depth, depth, 1, b.data(),
                                  0, columns, 1, nullptr, 0, 0, 0, found.data()});
  expect_same(found, expected);
  std::vector<double> left(a.begin(), a.end()), right(b.begin(), b.end()), exact(found.size()),
      double_found(found.size());
  product(left.data(), right.data(), batches * rows, depth, columns, exact.data());
  gpu::product(ProductTask<double>{batches, rows, depth, columns, left.data(), rows * depth, depth, 1,
                                   right.data(), 0, columns, 1, nullptr, 0, 0, 0, double_found.data()});
  expect_same(double_found, exact);
}

template <typename Number>
void expect_same_sums(int64_t rows, int64_t n) {
  SCOPED_TRACE(testing::Message() << rows << "×" << n);
  const std::vector<Number> x = random_numbers<Number>(rows * n, 1);
  std::vector<Number> found(static_cast<size_t>(rows)), expected(found.size());
  gpu::row_sums(x.data(), rows, n, found.data());
  for (int64_t row = 0; row < rows; ++row) expected[static_cast<size_t>(row)] = sum(x.data() + row * n, n);
  expect_same(found, expected);

  std::vector<Number> found_columns(static_cast<size_t>(n)), expected_columns(found_columns.size());
  gpu::column_sums(x.data(), 1, rows, n, found_columns.data());
  column_sums(x.data(), rows, n, expected_columns.data());
  expect_same(found_columns, expected_columns);
}

TEST(GpuKernels, SumsHaveTheBitsOfCpus) {
  const GpuStandIn gpu;
  for (const auto& [rows, n] : std::vector<std::pair<int64_t, int64_t>>{{1, 0},
                                                                        {0, 3},
                                                                        {1, 1},
                                                                        {17, 15},
                                                                        {33, 16},
                                                                        {5, 1023},
                                                                        {3, 1025},
                                                                        {2, 4096},
                                                                        {3, 20001},
                                                                        {100, 5}}) {
    expect_same_sums<float>(rows, n);
    expect_same_sums<double>(rows, n);
  }
}

TEST(GpuKernels, RunningSumsAreAddedInDoublePrecision) {
  const GpuStandIn gpu;
  const std::vector<float> x = random_numbers(2 * 30 * 3, 1);
  std::vector<float> found(x.size()), expected(x.size());
  gpu::running_sums(x.data(), 2, 30, 3, found.data());
  for (size_t outer = 0; outer < 2; ++outer)
    for (size_t inner = 0; inner < 3; ++inner) {
      double sum = 0;
      for (size_t k = 0; k < 30; ++k) {
        const size_t at = (outer * 30 + k) * 3 + inner;
        expected[at] = static_cast<float>(sum += static_cast<double>(x[at]));
      }
    }
  expect_same(found, expected);
}

TEST(GpuKernels, PatchesHaveTheBitsOfCpus) {
  const GpuStandIn gpu;
  const Patches shapes[] = {
      {.images = 2,
       .channels = 3,
       .sides = {1, 7, 6},
       .kernel = {1, 3, 3},
       .stride = {1, 2, 2},
       .padding = {0, 1, 1},
       .grid = {1, 4, 3}},
      {.images = 3,
       .channels = 1,
       .sides = {1, 28, 28},
       .kernel = {1, 4, 4},
       .stride = {1, 2, 2},
       .padding = {0, 1, 1},
       .grid = {1, 14, 14}},
      {.images = 1,
       .channels = 2,
       .sides = {4, 5, 6},
       .kernel = {3, 2, 3},
       .stride = {1, 1, 2},
       .padding = {1, 0, 2},
       .dilation = {1, 2, 2},
       .grid = {4, 3, 3}},
      {.images = 2,
       .channels = 5,
       .sides = {1, 1, 9},
       .kernel = {1, 1, 2},
       .dilation = {1, 1, 4},
       .grid = {1, 1, 5}},
      {.images = 0, .channels = 5, .sides = {1, 1, 9}, .kernel = {1, 1, 2}, .grid = {1, 1, 8}}};
  for (const Patches& shape : shapes) {
    const int64_t pixels = shape.sides[0] * shape.sides[1] * shape.sides[2];
    const std::vector<float> images = random_numbers(shape.images * pixels * shape.channels, 1);
    const auto elements = static_cast<size_t>(shape.count() * shape.size());
    std::vector<float> found(elements), expected(elements);
    gpu::gather_patches(shape, images.data(), found.data());
    gather_patches(shape, 0, shape.count(), images.data(), expected.data(), shape.size());
    expect_same(found, expected);

    const std::vector<float> patches = random_numbers(static_cast<int64_t>(elements), 2);
    std::vector<float> found_sums = images, expected_sums = images;
    gpu::add_patches(shape, patches.data(), found_sums.data());
    add_patches(shape, 0, shape.count(), patches.data(), expected_sums.data());
    expect_same(found_sums, expected_sums);
  }
}

TEST(GpuKernels, NothingIsStartedForNothing) {
  const GpuStandIn gpu;
  const int64_t before = gpu.launches();
  gpu::map(Elementary::exp, static_cast<const float*>(nullptr), 0, nullptr);
  gpu::adam_update(0, {}, nullptr, nullptr, nullptr, nullptr);
  gpu::square_sums(nullptr, 0, nullptr);
  EXPECT_EQ(gpu.launches(), before);
}

}  // namespace
}  // namespace elbo
