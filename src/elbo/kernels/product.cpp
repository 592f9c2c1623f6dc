#include "elbo/kernels/product.h"

#include <algorithm>
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

// C += A·B with B's panels packed, a part that fits the cache at a time; or with panels that are packed
// already.
void add_product(const Kernel& kernel, const MatrixView& a, const MatrixView& b, float* c, int64_t c_row) {
  if (a.columns == 0) return;
  const float* const shared = PackedFactors::find(b, kernel.panel);
  const int64_t deepest =
      std::min(a.columns, std::max(depth_at_once, cached_floats / in_panels(b.columns, kernel.panel)));
  const int64_t widest = std::max(kernel.panel, cached_floats / deepest / kernel.panel * kernel.panel);
  float* const panels =
      shared != nullptr
          ? nullptr
          : packed_panels.at_least(deepest * in_panels(std::min(widest, b.columns), kernel.panel));
  for (int64_t j = 0; j < b.columns; j += widest)
    for (int64_t k = 0; k < a.columns; k += deepest) {
      const int64_t columns = std::min(widest, b.columns - j), depth = std::min(deepest, a.columns - k);
      if (shared == nullptr) pack(b, k, depth, j, columns, kernel.panel, panels);
      kernel.multiply({.rows = a.rows,
                       .columns = columns,
                       .depth = depth,
                       .a = a.data + k * a.column_stride,
                       .a_row = a.row_stride,
                       .a_depth = a.column_stride,
                       .b = shared != nullptr ? shared + j * b.rows + k * kernel.panel : panels,
                       .b_panel = (shared != nullptr ? b.rows : depth) * kernel.panel,
                       .b_depth = kernel.panel,
                       .c = c + j,
                       .c_row = c_row});
    }
}

// The same without copying the full panels of B, whose rows are contiguous: worth it for few rows of A.
void add_product_in_place(const Kernel& kernel, const MatrixView& a, MatrixView b, float* c, int64_t c_row) {
  const int64_t full = b.columns / kernel.panel * kernel.panel;
  if (full > 0)
    kernel.multiply({.rows = a.rows,
                     .columns = full,
                     .depth = a.columns,
                     .a = a.data,
                     .a_row = a.row_stride,
                     .a_depth = a.column_stride,
                     .b = b.data,
                     .b_panel = kernel.panel,
                     .b_depth = b.row_stride,
                     .c = c,
                     .c_row = c_row});
  if (full == b.columns) return;
  b.data += full;
  b.columns -= full;
  add_product(kernel, a, b, c + full, c_row);
}

void add_product_of_any(const Kernel& kernel, const MatrixView& a, const MatrixView& b, float* c,
                        int64_t c_row) {
  constexpr int64_t few_rows = 12;
  if (b.column_stride == 1 && a.rows <= few_rows && PackedFactors::find(b, kernel.panel) == nullptr)
    add_product_in_place(kernel, a, b, c, c_row);
  else
    add_product(kernel, a, b, c, c_row);
}

// Cᵀ = Bᵀ·Aᵀ has the same chains. It copies A instead of B.
void product_transposed(const Kernel& kernel, const MatrixView& a, const MatrixView& b, const float* start,
                        float* c) {
  float* const result = transposed_result.at_least(a.rows * b.columns);
  for (int64_t j = 0; j < b.columns; ++j)
    std::fill_n(result + j * a.rows, a.rows, start == nullptr ? 0.0F : start[j]);
  add_product(kernel, b.transposed(), a.transposed(), result, a.rows);
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
  for (int64_t i = 0; i < a.rows; ++i) {
    float* const row = c + i * b.columns;
    if (start == nullptr)
      std::fill_n(row, b.columns, 0.0F);
    else
      std::copy_n(start, b.columns, row);
  }
  add_product_of_any(kernel, a, b, c, b.columns);
}

void add_product(const MatrixView& a, const MatrixView& b, float* c, InstructionSet set) {
  add_product_of_any(kernel_of(set), a, b, c, b.columns);
}

ELBO_VECTORIZE void product(const double* a, const double* b, int64_t rows, int64_t depth, int64_t columns,
                            double* c) {
  for (int64_t i = 0; i < rows; ++i) {
    double* const row = c + i * columns;
    for (int64_t j = 0; j < columns; ++j) row[j] = 0;
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t j = 0; j < columns; ++j) row[j] += a[i * depth + k] * b[k * columns + j];
  }
}

}  // namespace elbo
