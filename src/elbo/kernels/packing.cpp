#include "elbo/kernels/packing.h"

#include <algorithm>
#include <cstring>

#include "elbo/base/vectorize.h"

namespace elbo {

namespace {

constexpr int64_t side = 8;
using Eight = float __attribute__((vector_size(4 * side)));

// A square of 8 × 8, by exchanging its halves, quarters and eighths.
[[gnu::always_inline]] inline void transpose_square(const float* from, int64_t from_step, float* to,
                                                    int64_t to_step) {
  Eight x[side], y[side];
  for (int64_t i = 0; i < side; ++i) std::memcpy(&x[i], from + i * from_step, sizeof(Eight));
  for (int64_t i = 0; i < 4; ++i) {
    y[i] = __builtin_shufflevector(x[i], x[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    y[i + 4] = __builtin_shufflevector(x[i], x[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (const int64_t i : {0, 1, 4, 5}) {
    x[i] = __builtin_shufflevector(y[i], y[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    x[i + 2] = __builtin_shufflevector(y[i], y[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int64_t i = 0; i < side; i += 2) {
    y[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    y[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int64_t i = 0; i < side; ++i) std::memcpy(to + i * to_step, &y[i], sizeof(Eight));
}

}  // namespace

ELBO_VECTORIZE void transpose(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to,
                              int64_t to_step) {
  const int64_t whole_rows = rows / side * side, whole_columns = columns / side * side;
  for (int64_t j = 0; j < whole_columns; j += side)
    for (int64_t i = 0; i < whole_rows; i += side)
      transpose_square(from + i * from_step + j, from_step, to + j * to_step + i, to_step);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j)
      to[j * to_step + i] = from[i * from_step + j];
}

int64_t in_panels(int64_t columns, int64_t panel) { return (columns + panel - 1) / panel * panel; }

void pack(const MatrixView& b, int64_t k, int64_t depth, int64_t j, int64_t columns, int64_t panel,
          float* to) {
  for (int64_t first = 0; first < columns; first += panel, to += depth * panel) {
    const int64_t width = std::min(panel, columns - first);
    const float* const from = b.data + k * b.row_stride + (j + first) * b.column_stride;
    if (width < panel) std::fill(to, to + depth * panel, 0.0F);
    if (b.column_stride == 1) {
      for (int64_t row = 0; row < depth; ++row)
        std::copy_n(from + row * b.row_stride, width, to + row * panel);
    } else {
      transpose(from, b.column_stride, width, depth, to, panel);
    }
  }
}

}  // namespace elbo
