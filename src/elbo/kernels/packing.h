// Factors of products in the order in which the inner loops read them (product_kernel.h).
#pragma once
#include <cstdint>

#include "elbo/kernels/product.h"

namespace elbo {

// to (columns, rows) = from (rows, columns), transposed. The steps are between rows.
void transpose(const float* from, int64_t from_step, int64_t rows, int64_t columns, float* to,
               int64_t to_step);

// The columns that `columns` take in whole panels.
int64_t in_panels(int64_t columns, int64_t panel);

// Copies rows [k, k + depth) and columns [j, j + columns) of b into panels of `panel` columns, of which the
// last is filled up with zeros: row i of panel p begins at to[(p · depth + i) · panel].
void pack(const MatrixView& b, int64_t k, int64_t depth, int64_t j, int64_t columns, int64_t panel,
          float* to);

}  // namespace elbo
