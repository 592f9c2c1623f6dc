#include "elbo/kernels/product.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "elbo/base/vectorize.h"
#include "elbo/kernels/packed_factors.h"
#include "elbo/kernels/packing.h"
#include "elbo/kernels/product_kernel.h"

namespace elbo {
namespace {

struct Kernel {
  void (*multiply)(const ProductBlock&);
  int64_t panel;
};

Kernel kernel_of(InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::avx512) return {multiply_avx512, panel_width_avx512};
  if (set == InstructionSet::avx2) return {multiply_avx2, panel_width_avx2};
#endif
  (void)set;
  return {multiply_portable, panel_width_portable};
}

// A thread's memory for packed panels and for transposed results. Its contents are lost at the next use.
class Scratch {
 public:
  float* at_least(int64_t floats) {
    if (static_cast<int64_t>(memory_.size()) < floats) memory_.resize(static_cast<size_t>(floats));
    return memory_.data();
  }

 private:
  std::vector<float> memory_;
};
thread_local Scratch packed_panels, transposed_result;

// Panels of B that fit the second-level cache beside the rows of A that are multiplied with them.
constexpr int64_t cached_floats = 128 << 10, depth_at_once = 512;

// The sums of a product: row i of C is at to + i · row. It begins with the numbers from start + i · start_row
// on, or with 0 where start is null. adds: the sums are added to C's numbers, else they replace them.
struct Sums {
  const float* start;
  int64_t start_row;
  float* to;
  int64_t row;
  bool adds = false;
  Sums from(int64_t column) const {
    return {start == nullptr ? nullptr : start + column, start_row, to + column, row, adds};
  }
  Sums continued() const { return {to, row, to, row}; }
};

void multiply_block(const Kernel& kernel, const MatrixView& a, int64_t columns, const float* b,
                    int64_t b_panel, int64_t b_depth, const Sums& c) {
  kernel.multiply({.rows = a.rows,
                   .columns = columns,
                   .depth = a.columns,
                   .a = a.data,
                   .a_row = a.row_stride,
                   .a_depth = a.column_stride,
                   .b = b,
                   .b_panel = b_panel,
                   .b_depth = b_depth,
                   .start = c.start,
                   .start_row = c.start_row,
                   .c = c.to,
                   .c_row = c.row,
                   .adds = c.adds});
}

// The rows of B that are multiplied at once.
int64_t rows_at_once(const Kernel& kernel, const MatrixView& b) {
  return std::max<int64_t>(
      1, std::min(b.rows, std::max(depth_at_once, cached_floats / in_panels(b.columns, kernel.panel))));
}

// Of B's panels, which are packed already or, where `packed` is null, here: a part that fits the cache at a
// time.
void multiply_panels(const Kernel& kernel, const MatrixView& a, const MatrixView& b, const float* packed,
                     const Sums& c) {
  const int64_t deepest = rows_at_once(kernel, b);
  const int64_t widest = std::max(kernel.panel, cached_floats / deepest / kernel.panel * kernel.panel);
  float* const panels =
      packed != nullptr
          ? nullptr
          : packed_panels.at_least(deepest * in_panels(std::min(widest, b.columns), kernel.panel));
  for (int64_t j = 0; j < b.columns; j += widest)
    for (int64_t k = 0; k == 0 || k < a.columns; k += deepest) {
      const int64_t columns = std::min(widest, b.columns - j), depth = std::min(deepest, a.columns - k);
      if (packed == nullptr) pack(b, k, depth, j, columns, kernel.panel, panels);
      const MatrixView part{a.data + k * a.column_stride, a.rows, depth, a.row_stride, a.column_stride};
      multiply_block(kernel, part, columns,
                     packed != nullptr ? packed + j * b.rows + k * kernel.panel : panels,
                     (packed != nullptr ? b.rows : depth) * kernel.panel, kernel.panel,
                     k == 0 ? c.from(j) : c.from(j).continued());
    }
}

// Without copying the full panels of B, whose rows are contiguous: worth it for few rows of A.
void multiply_in_place(const Kernel& kernel, const MatrixView& a, MatrixView b, const Sums& c) {
  const int64_t full = b.columns / kernel.panel * kernel.panel;
  if (full > 0) multiply_block(kernel, a, full, b.data, kernel.panel, b.row_stride, c);
  if (full == b.columns) return;
  b.data += full;
  b.columns -= full;
  multiply_panels(kernel, a, b, nullptr, c.from(full));
}

void multiply_any(const Kernel& kernel, const MatrixView& a, const MatrixView& b, const Sums& c) {
  constexpr int64_t few_rows = 12;
  const float* const packed = PackedFactors::find(b, kernel.panel);
  if (b.column_stride == 1 && a.rows <= few_rows && packed == nullptr)
    multiply_in_place(kernel, a, b, c);
  else
    multiply_panels(kernel, a, b, packed, c);
}

// Cᵀ = Bᵀ·Aᵀ has the same chains. It copies A instead of B.
void product_transposed(const Kernel& kernel, const MatrixView& a, const MatrixView& b, const float* start,
                        float* c) {
  float* const result = transposed_result.at_least(a.rows * b.columns);
  if (start != nullptr)
    for (int64_t j = 0; j < b.columns; ++j) std::fill_n(result + j * a.rows, a.rows, start[j]);
  multiply_panels(kernel, b.transposed(), a.transposed(), nullptr,
                  {start == nullptr ? nullptr : result, a.rows, result, a.rows});
  transpose(result, a.rows, b.columns, a.rows, c, b.columns);
}

// Whether transposing pays: the elements that are copied, those across memory's order counted four times. A's
// rows should not leave most of a panel empty.
bool transposing_pays(const Kernel& kernel, const MatrixView& a, const MatrixView& b) {
  constexpr int64_t across = 4;
  const int64_t copy_b = b.rows * b.columns * (b.column_stride == 1 ? 1 : across);
  const int64_t copy_a = a.rows * a.columns * (a.row_stride == 1 ? 1 : across) + a.rows * b.columns * across;
  return 2 * a.rows > kernel.panel && copy_a < copy_b && PackedFactors::find(b, kernel.panel) == nullptr;
}

}  // namespace

void product(const MatrixView& a, const MatrixView& b, const float* start, float* c, InstructionSet set) {
  const Kernel kernel = kernel_of(set);
  if (transposing_pays(kernel, a, b)) return product_transposed(kernel, a, b, start, c);
  multiply_any(kernel, a, b, {start, 0, c, b.columns});
}

void add_product(const MatrixView& a, const MatrixView& b, float* c, InstructionSet set) {
  multiply_any(kernel_of(set), a, b, {c, b.columns, c, b.columns});
}

void add_sums(const MatrixView& a, const MatrixView& b, float* c, InstructionSet set) {
  const Kernel kernel = kernel_of(set);
  if (b.rows <= rows_at_once(kernel, b) && !transposing_pays(kernel, a, b))
    return multiply_panels(kernel, a, b, nullptr, {nullptr, 0, c, b.columns, /*adds=*/true});
  std::vector<float> sums(static_cast<size_t>(a.rows * b.columns));
  product(a, b, nullptr, sums.data(), set);
  for (const float sum : sums) *c++ += sum;
}

PackedFactor::PackedFactor(const MatrixView& b, InstructionSet of_set)
    : set(of_set), rows(b.rows), columns(b.columns) {
  const int64_t panel = kernel_of(set).panel;
  panels.resize(static_cast<size_t>(rows * in_panels(columns, panel)));
  pack(b, 0, rows, 0, columns, panel, panels.data());
}

void product(const MatrixView& a, const PackedFactor& b, const float* start, float* c) {
  multiply_panels(kernel_of(b.set), a, {nullptr, b.rows, b.columns, b.columns, 1}, b.panels.data(),
                  {start, 0, c, b.columns});
}

namespace {

// Eight doubles; where registers are shorter, the compiler takes several.
using Doubles = double __attribute__((vector_size(64)));

constexpr int64_t double_rows = 4, double_vectors = 2;  // of C that are summed in registers
constexpr int64_t double_columns = 8 * double_vectors;
using RowsOfA = std::array<const double*, double_rows>;
using TileSums = std::array<std::array<double, double_columns>, double_rows>;

// The sums of rows of A times a panel of B: (depth, double_columns).
ELBO_VECTORIZE void multiply_panel(const RowsOfA& a, const double* panel, int64_t depth, TileSums& sums) {
  Doubles s[double_rows][double_vectors] = {};  // NOLINT(modernize-avoid-c-arrays): kept in registers
  for (int64_t k = 0; k < depth; ++k) {
    Doubles b[double_vectors];  // NOLINT(modernize-avoid-c-arrays)
    std::memcpy(b, panel + k * double_columns, sizeof(b));
    for (int64_t r = 0; r < double_rows; ++r)
      for (int64_t j = 0; j < double_vectors; ++j) s[r][j] += a[static_cast<size_t>(r)][k] * b[j];
  }
  std::memcpy(sums.data(), s, sizeof(s));
}

}  // namespace

void product(const double* a, const double* b, int64_t rows, int64_t depth, int64_t columns, double* c) {
  std::vector<double> panel(static_cast<size_t>(depth * double_columns));
  for (int64_t first = 0; first < columns; first += double_columns) {
    const int64_t width = std::min(double_columns, columns - first);
    for (int64_t k = 0; k < depth; ++k)
      std::copy_n(b + k * columns + first, width, panel.data() + k * double_columns);
    for (int64_t i = 0; i < rows; i += double_rows) {
      RowsOfA of_rows{};  // the last row is repeated where there are fewer
      for (int64_t r = 0; r < double_rows; ++r)
        of_rows[static_cast<size_t>(r)] = a + std::min(i + r, rows - 1) * depth;
      TileSums sums;
      multiply_panel(of_rows, panel.data(), depth, sums);
      for (int64_t r = 0; r < std::min(double_rows, rows - i); ++r)
        std::copy_n(sums[static_cast<size_t>(r)].data(), width, c + (i + r) * columns + first);
    }
  }
}

}  // namespace elbo
