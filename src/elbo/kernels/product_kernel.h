// The inner loops of the matrix product, compiled once for each instruction set.
#pragma once
#include "elbo/kernels/vector.h"

namespace elbo {

// C = start + A·B: A (rows, depth) anywhere, B in panels, C with contiguous rows.
struct ProductBlock {
  int64_t rows, columns, depth;
  const float* a;
  int64_t a_row, a_depth;  // strides; one of them is 1
  // Panels of `panel_width` columns, of which the last is padded with zeros. Row k of panel p is at
  // b + p · b_panel + k · b_depth.
  const float* b;
  int64_t b_panel, b_depth;
  // Row i begins with the numbers from start + i · start_row on, or with 0 where start is null.
  const float* start;
  int64_t start_row;
  float* c;
  int64_t c_row;
  bool adds;  // the finished sums are added to C's numbers, else they replace them
};

// Columns of a panel for each instruction set: two vectors.
constexpr int64_t panel_width_avx512 = 32, panel_width_avx2 = 16, panel_width_portable = 8;

void multiply_avx512(const ProductBlock& block);
void multiply_avx2(const ProductBlock& block);
void multiply_portable(const ProductBlock& block);

namespace {

// One tile of C: `height` rows and `vectors` vectors of columns. deep: A's stride along the depth is 1, else
// that along the rows is.
template <int height, int vectors, bool deep>
[[gnu::always_inline]] inline void multiply_tile(int64_t depth, const float* a, int64_t a_row,
                                                 int64_t a_depth, const float* b, int64_t b_depth,
                                                 const float* start, int64_t start_row, float* c,
                                                 int64_t c_row, bool adds) {
  Vector sum[height][vectors];
#pragma GCC unroll 16
  for (int64_t i = 0; i < height; ++i)
#pragma GCC unroll 2
    for (int64_t j = 0; j < vectors; ++j) sum[i][j] = Vector::load(start + i * start_row + j * Vector::width);
  for (int64_t k = 0; k < depth; ++k) {
    Vector right[vectors];
#pragma GCC unroll 2
    for (int64_t j = 0; j < vectors; ++j) right[j] = Vector::load(b + j * Vector::width);
#pragma GCC unroll 16
    for (int64_t i = 0; i < height; ++i) {
      const Vector left = Vector::all(deep ? a[i * a_row] : a[i]);
#pragma GCC unroll 2
      for (int64_t j = 0; j < vectors; ++j) sum[i][j] = Vector::fma(left, right[j], sum[i][j]);
    }
    a += deep ? 1 : a_depth;
    b += b_depth;
  }
  if (adds)
#pragma GCC unroll 16
    for (int64_t i = 0; i < height; ++i)
#pragma GCC unroll 2
      for (int64_t j = 0; j < vectors; ++j)
        sum[i][j] = Vector::load(c + i * c_row + j * Vector::width) + sum[i][j];
#pragma GCC unroll 16
  for (int64_t i = 0; i < height; ++i)
#pragma GCC unroll 2
    for (int64_t j = 0; j < vectors; ++j) sum[i][j].store(c + i * c_row + j * Vector::width);
}

// A tile of `columns` columns, at most those of a panel: what does not fill the vectors goes through a copy.
template <int height, bool deep>
[[gnu::always_inline]] inline void multiply_edge(int64_t columns, const ProductBlock& block, const float* a,
                                                 const float* b, const float* start, float* c) {
  constexpr int64_t width = Vector::width;
  alignas(64) static constexpr float zeros[2 * width] = {};
  int64_t start_row = block.start_row;
  if (start == nullptr) {
    start = zeros;
    start_row = 0;
  }
  if (columns == 2 * width)
    return multiply_tile<height, 2, deep>(block.depth, a, block.a_row, block.a_depth, b, block.b_depth, start,
                                          start_row, c, block.c_row, block.adds);
  if (columns == width)
    return multiply_tile<height, 1, deep>(block.depth, a, block.a_row, block.a_depth, b, block.b_depth, start,
                                          start_row, c, block.c_row, block.adds);
  alignas(64) float copy[height][2 * width] = {};
  for (int64_t i = 0; i < height; ++i)
    for (int64_t j = 0; j < columns; ++j) copy[i][j] = start[i * start_row + j];
  if (columns > width)
    multiply_tile<height, 2, deep>(block.depth, a, block.a_row, block.a_depth, b, block.b_depth, copy[0],
                                   2 * width, copy[0], 2 * width, /*adds=*/false);
  else
    multiply_tile<height, 1, deep>(block.depth, a, block.a_row, block.a_depth, b, block.b_depth, copy[0],
                                   2 * width, copy[0], 2 * width, /*adds=*/false);
  for (int64_t i = 0; i < height; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      float& to = c[i * block.c_row + j];
      to = block.adds ? to + copy[i][j] : copy[i][j];
    }
}

// `height` rows of C from row i on.
template <int height, bool deep>
[[gnu::noinline]] void multiply_rows(const ProductBlock& block, int64_t i) {
  constexpr int64_t panel = 2 * Vector::width;
  const float* const a = block.a + i * block.a_row;
  const float* const start = block.start == nullptr ? nullptr : block.start + i * block.start_row;
  float* const c = block.c + i * block.c_row;
  for (int64_t j = 0; j < block.columns; j += panel) {
    const int64_t columns = block.columns - j < panel ? block.columns - j : panel;
    multiply_edge<height, deep>(columns, block, a, block.b + j / panel * block.b_panel,
                                start == nullptr ? nullptr : start + j, c + j);
  }
}

// The rows below the last full tile, at most `height`, in one tile of their number.
template <int height, bool deep>
void multiply_rest(const ProductBlock& block, int64_t i) {
  if constexpr (height > 0) {
    if (block.rows - i == height) return multiply_rows<height, deep>(block, i);
    multiply_rest<height - 1, deep>(block, i);
  }
}

template <int height, bool deep>
void multiply_block(const ProductBlock& block) {
  int64_t i = 0;
  for (; i + height <= block.rows; i += height) multiply_rows<height, deep>(block, i);
  multiply_rest<height - 1, deep>(block, i);
}

// height: rows of a tile, so that its sums, two vectors of B and one of A fill the registers.
template <int height>
void multiply(const ProductBlock& block) {
  if (block.a_depth == 1)
    multiply_block<height, true>(block);
  else
    multiply_block<height, false>(block);
}

}  // namespace
}  // namespace elbo
