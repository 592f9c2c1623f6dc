// kernels/ for the memory of a tensor: that of the CPU or of a GPU.
#pragma once
#include <torch/types.h>

#include "elbo/kernels/functions.h"
#include "elbo/kernels/gpu.h"
#include "elbo/kernels/product.h"
#include "elbo/kernels/sums.h"

namespace elbo {

inline bool on_gpu(const at::Tensor& x) { return gpu::computes(x.is_cpu()); }

class KernelsOf {
 public:
  explicit KernelsOf(const at::Tensor& x) : on_gpu_(on_gpu(x)) {}

  template <typename Number>
  void map(Elementary function, const Number* x, int64_t n, Number* y) const {
    on_gpu_ ? gpu::map(function, x, n, y) : elbo::map(function, x, n, y);
  }
  // x (rows, n) → sums (rows).
  template <typename Number>
  void row_sums(const Number* x, int64_t rows, int64_t n, Number* sums) const {
    if (on_gpu_) return gpu::row_sums(x, rows, n, sums);
    for (int64_t i = 0; i < rows; ++i) sums[i] = sum(x + i * n, n);
  }
  // x (outer, n, inner) → sums (outer, inner).
  template <typename Number>
  void column_sums(const Number* x, int64_t outer, int64_t n, int64_t inner, Number* sums) const {
    if (on_gpu_) return gpu::column_sums(x, outer, n, inner, sums);
    for (int64_t i = 0; i < outer; ++i) elbo::column_sums(x + i * n * inner, n, inner, sums + i * inner);
  }
  void product(const MatrixView& a, const MatrixView& b, const float* start, float* c) const {
    on_gpu_ ? gpu::product(task(a, b, start, 0, c)) : elbo::product(a, b, start, c);
  }
  void add_product(const MatrixView& a, const MatrixView& b, float* c) const {
    on_gpu_ ? gpu::product(task(a, b, c, b.columns, c)) : elbo::add_product(a, b, c);
  }

 private:
  static ProductTask<float> task(const MatrixView& a, const MatrixView& b, const float* start,
                                 int64_t start_row, float* c) {
    return {.batches = 1,
            .rows = a.rows,
            .depth = a.columns,
            .columns = b.columns,
            .a = a.data,
            .a_batch = 0,
            .a_row = a.row_stride,
            .a_depth = a.column_stride,
            .b = b.data,
            .b_batch = 0,
            .b_depth = b.row_stride,
            .b_column = b.column_stride,
            .start = start,
            .start_batch = 0,
            .start_row = start_row,
            .start_column = 1,
            .c = c};
  }

  bool on_gpu_;
};

}  // namespace elbo
