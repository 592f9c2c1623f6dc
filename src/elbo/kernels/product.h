// The matrix product with one order of its sums, float32.
//
// Every element of C is one chain of fused multiply-adds over ascending k,
//
//   c = start;  for k = 0, 1, 2, …:  c = fma(a_ik, b_kj, c)
//
// each of which rounds once. Blocks, tiles and the width of vectors only decide what is computed side by
// side. So the bits do not depend on the CPU, nor on how many rows are computed together.
#pragma once
#include <cstdint>
#include <vector>

#include "elbo/kernels/instruction_set.h"

namespace elbo {

// A matrix in memory. One of its strides, in elements, must be 1.
struct MatrixView {
  const float* data;
  int64_t rows, columns;
  int64_t row_stride, column_stride;
  MatrixView transposed() const { return {data, columns, rows, column_stride, row_stride}; }
};

// C (a.rows, b.columns) = start + A·B, where C has contiguous rows. start: a value for each column, or null
// for 0. C must not overlap the others. Thread-safe; uses the calling thread alone.
void product(const MatrixView& a, const MatrixView& b, const float* start, float* c,
             InstructionSet set = instruction_set());

// C (a.rows, b.columns) += A·B: the same chains, from C's values on.
void add_product(const MatrixView& a, const MatrixView& b, float* c, InstructionSet set = instruction_set());

// C (a.rows, b.columns) += A·B, where each chain begins at 0 and its end is added to C's number.
void add_sums(const MatrixView& a, const MatrixView& b, float* c, InstructionSet set = instruction_set());

// A right factor that several products share, in the order in which their inner loops read it.
struct PackedFactor {
  explicit PackedFactor(const MatrixView& b, InstructionSet of_set = instruction_set());
  InstructionSet set;
  int64_t rows, columns;
  std::vector<float> panels;
};
void product(const MatrixView& a, const PackedFactor& b, const float* start, float* c);

// C = A·B in double precision, all contiguous, A (rows, depth): c_ij = 0; for k = 0, 1, 2, …: c_ij += a_ik
// b_kj, where product and sum round each.
void product(const double* a, const double* b, int64_t rows, int64_t depth, int64_t columns, double* c);

}  // namespace elbo
