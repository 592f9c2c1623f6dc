// The matrix product (kernels/product.h). A block of threads computes a tile of C; each thread has several
// elements in registers and takes the factors from shared memory, tile_depth steps of k at a time. Each
// element remains one chain over ascending k.
#include "elbo/kernels/cuda/tasks.h"

namespace elbo {

// The place of a thread's number `i` among `threads` others: groups of `group` neighbours, so that a thread
// reads them from shared memory at once and neighbours read adjacent groups.
template <int group, int threads>
__device__ inline int place_of(int thread, int i) {
  return (i / group * threads + thread) * group + i % group;
}

// A part of a factor, (width, tile_depth) in the matrix, on its way to shared memory (tile_depth, width).
template <int width, int tile_depth>
struct FactorTile {
  static constexpr int per_thread = width * tile_depth / product_threads;
  float values[per_thread];

  // Neighbouring threads read along the dimension whose elements are adjacent in memory.
  __device__ static int depth_of(int64_t depth_stride, int i) {
    const int element = i * product_threads + static_cast<int>(threadIdx.x);
    return depth_stride == 1 ? element % tile_depth : element / width;
  }
  __device__ static int across_of(int64_t depth_stride, int i) {
    const int element = i * product_threads + static_cast<int>(threadIdx.x);
    return depth_stride == 1 ? element / tile_depth : element % width;
  }
  // Elements outside of the matrix are 0.
  __device__ void load(const float* from, int64_t stride, int64_t depth_stride, int64_t first, int64_t size,
                       int64_t k, int64_t depth) {
#pragma unroll
    for (int i = 0; i < per_thread; ++i) {
      const int64_t across = first + across_of(depth_stride, i), deep = k + depth_of(depth_stride, i);
      values[i] = across < size && deep < depth ? from[across * stride + deep * depth_stride] : 0.0F;
    }
  }
  __device__ void store(float (*to)[width + 4], int64_t depth_stride) const {
#pragma unroll
    for (int i = 0; i < per_thread; ++i)
      to[depth_of(depth_stride, i)][across_of(depth_stride, i)] = values[i];
  }
};

template <int tile, int tile_depth, int own, int group>
__device__ inline void multiply_tile_of(const ProductTask<float>& t) {
  constexpr int threads = tile / own;  // in each direction
  static_assert(threads * threads == product_threads && tile * tile_depth % product_threads == 0,
                "whole tiles");
  alignas(16) __shared__ float a_tile[tile_depth][tile + 4];
  alignas(16) __shared__ float b_tile[tile_depth][tile + 4];
  const int x = static_cast<int>(threadIdx.x) % threads, y = static_cast<int>(threadIdx.x) / threads;
  const int64_t row_tiles = (t.rows + tile - 1) / tile, column_tiles = (t.columns + tile - 1) / tile;
  for (int64_t number = blockIdx.x; number < t.batches * row_tiles * column_tiles; number += gridDim.x) {
    const int64_t batch = number / (row_tiles * column_tiles), in_batch = number % (row_tiles * column_tiles);
    const int64_t first_row = in_batch / column_tiles * tile, first_column = in_batch % column_tiles * tile;
    const float* const a = t.a + batch * t.a_batch;
    const float* const b = t.b + batch * t.b_batch;
    float sum[own][own];
#pragma unroll
    for (int i = 0; i < own; ++i)
#pragma unroll
      for (int j = 0; j < own; ++j) {
        const int64_t row = first_row + place_of<group, threads>(y, i);
        const int64_t column = first_column + place_of<group, threads>(x, j);
        sum[i][j] = t.start != nullptr && row < t.rows && column < t.columns
                        ? t.start[batch * t.start_batch + row * t.start_row + column * t.start_column]
                        : 0.0F;
      }
    FactorTile<tile, tile_depth> next_a, next_b;  // on their way while the tile before is multiplied
    next_a.load(a, t.a_row, t.a_depth, first_row, t.rows, 0, t.depth);
    next_b.load(b, t.b_column, t.b_depth, first_column, t.columns, 0, t.depth);
    for (int64_t k = 0; k < t.depth; k += tile_depth) {
      __syncthreads();  // the tile before has been read
      next_a.store(a_tile, t.a_depth);
      next_b.store(b_tile, t.b_depth);
      __syncthreads();
      if (k + tile_depth < t.depth) {
        next_a.load(a, t.a_row, t.a_depth, first_row, t.rows, k + tile_depth, t.depth);
        next_b.load(b, t.b_column, t.b_depth, first_column, t.columns, k + tile_depth, t.depth);
      }
      // The zeros after the last k are left out: adding them would turn -0 into 0.
      const int deep = t.depth - k < tile_depth ? static_cast<int>(t.depth - k) : tile_depth;
      for (int step = 0; step < deep; ++step) {
        float left[own], right[own];
#pragma unroll
        for (int i = 0; i < own; ++i) left[i] = a_tile[step][place_of<group, threads>(y, i)];
#pragma unroll
        for (int j = 0; j < own; ++j) right[j] = b_tile[step][place_of<group, threads>(x, j)];
#pragma unroll
        for (int i = 0; i < own; ++i)
#pragma unroll
          for (int j = 0; j < own; ++j) sum[i][j] = __builtin_fmaf(left[i], right[j], sum[i][j]);
      }
    }
#pragma unroll
    for (int i = 0; i < own; ++i)
#pragma unroll
      for (int j = 0; j < own; ++j) {
        const int64_t row = first_row + place_of<group, threads>(y, i);
        const int64_t column = first_column + place_of<group, threads>(x, j);
        if (row < t.rows && column < t.columns) t.c[(batch * t.rows + row) * t.columns + column] = sum[i][j];
      }
  }
}

}  // namespace elbo

extern "C" __global__ void __launch_bounds__(256) product_large(elbo::ProductTask<float> task) {
  elbo::multiply_tile_of<elbo::large_tile, 16, 8, 4>(task);
}
extern "C" __global__ void __launch_bounds__(256) product_medium(elbo::ProductTask<float> task) {
  elbo::multiply_tile_of<elbo::medium_tile, 16, 4, 4>(task);
}
extern "C" __global__ void __launch_bounds__(256) product_small(elbo::ProductTask<float> task) {
  elbo::multiply_tile_of<elbo::small_tile, 32, 2, 2>(task);
}

// In double precision product and sum round each.
extern "C" __global__ void product_double(elbo::ProductTask<double> t) {
  for (int64_t i = elbo::first_element(); i < t.batches * t.rows * t.columns; i += elbo::all_threads()) {
    const int64_t column = i % t.columns, row = i / t.columns % t.rows, batch = i / t.columns / t.rows;
    const double* const a = t.a + batch * t.a_batch + row * t.a_row;
    const double* const b = t.b + batch * t.b_batch + column * t.b_column;
    double sum = t.start != nullptr
                     ? t.start[batch * t.start_batch + row * t.start_row + column * t.start_column]
                     : 0.0;
    for (int64_t k = 0; k < t.depth; ++k) sum += a[k * t.a_depth] * b[k * t.b_depth];
    t.c[i] = sum;
  }
}
