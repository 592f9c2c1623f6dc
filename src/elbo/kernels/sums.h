// Sums in one order that does not know the width of vectors.
#pragma once
#include <cstdint>

namespace elbo {

// The sum of n numbers by sixteen partial sums: number i belongs to partial sum i mod 16. Within a block of
// 1024 numbers a partial sum starts from 0 and adds in ascending order; the blocks' are added in ascending
// order to 0. Then the sixteen are added as a tree: i and i + 8, then i and i + 4, i + 2, i + 1.
float sum(const float* x, int64_t n);
double sum(const double* x, int64_t n);

// The sum of each column from 0 over ascending rows: x (rows, columns), contiguous → sums (columns).
void column_sums(const float* x, int64_t rows, int64_t columns, float* sums);
void column_sums(const double* x, int64_t rows, int64_t columns, double* sums);

}  // namespace elbo
