#include "elbo/kernels/packing.h"

#include <algorithm>

namespace elbo {

void transpose(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to,
               int64_t to_step) {
  constexpr int64_t block = 16;  // a block of both is in the first-level cache
  for (int64_t j = 0; j < columns; j += block)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t k = j; k < std::min(j + block, columns); ++k)
        to[k * to_step + i] = from[i * from_step + k];
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
