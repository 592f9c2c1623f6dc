// Sums in the order of kernels/sums.h.
#include "elbo/kernels/cuda/tasks.h"

namespace elbo {

constexpr int64_t summed_at_once_on_gpu = 1024;

// Adds the sixteen totals of each row as a tree. `totals` is shared memory.
template <typename Number>
__device__ inline void add_lanes(Number (*totals)[lanes_of_row], int slot, int lane) {
  for (int distance = lanes_of_row / 2; distance > 0; distance /= 2) {
    __syncthreads();
    if (lane < distance) totals[slot][lane] += totals[slot][lane + distance];
  }
  __syncthreads();
}

// x (rows, n) → sums (rows). A slot is sixteen threads, which compute the partial sums of 1024 numbers. A row
// has `slots` of them, 1 or all of the block.
template <typename Number>
__device__ inline void add_rows_of(const Number* x, int64_t rows, int64_t n, int slots, Number* sums) {
  constexpr int all_slots = threads_of_block / lanes_of_row;
  __shared__ Number partial[all_slots][lanes_of_row];
  __shared__ Number totals[all_slots][lanes_of_row];
  const int slot = static_cast<int>(threadIdx.x) / lanes_of_row,
            lane = static_cast<int>(threadIdx.x) % lanes_of_row;
  const int rows_at_once = all_slots / slots, part = slot % slots;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * rows_at_once; first < rows;
       first += static_cast<int64_t>(gridDim.x) * rows_at_once) {
    const int64_t row = first + slot / slots;
    Number total = 0;
    for (int64_t base = 0; base < n; base += slots * summed_at_once_on_gpu) {
      Number sum = 0;
      const int64_t begin = base + part * summed_at_once_on_gpu;
      const int64_t limit = begin + summed_at_once_on_gpu < n ? begin + summed_at_once_on_gpu : n;
      if (row < rows)
        for (int64_t i = begin + lane; i < limit; i += lanes_of_row) sum += x[row * n + i];
      partial[slot][lane] = sum;
      __syncthreads();
      if (part == 0)
        for (int other = 0; other < slots && base + other * summed_at_once_on_gpu < n; ++other)
          total += partial[slot + other][lane];
      __syncthreads();
    }
    totals[slot][lane] = total;
    add_lanes(totals, slot, lane);
    if (part == 0 && lane == 0 && row < rows) sums[row] = totals[slot][0];
  }
}

// x (outer, n, inner) → sums (outer, inner), over ascending n from 0.
template <typename Number>
__device__ inline void add_columns_of(const Number* x, int64_t outer, int64_t n, int64_t inner,
                                      Number* sums) {
  constexpr int ahead = 8;  // loads that do not wait for the additions
  for (int64_t i = first_element(); i < outer * inner; i += all_threads()) {
    const int64_t from = i / inner * n * inner + i % inner;
    Number sum = 0;
    int64_t k = 0;
    for (; k + ahead <= n; k += ahead) {
      Number values[ahead];
#pragma unroll
      for (int j = 0; j < ahead; ++j) values[j] = x[from + (k + j) * inner];
#pragma unroll
      for (int j = 0; j < ahead; ++j) sum += values[j];
    }
    for (; k < n; ++k) sum += x[from + k * inner];
    sums[i] = sum;
  }
}

// The same with all sums on the way, which LibTorch's CPU kernel adds in double precision.
template <typename Number>
__device__ inline void running_sums_of(const Number* x, int64_t outer, int64_t n, int64_t inner,
                                       Number* sums) {
  for (int64_t i = first_element(); i < outer * inner; i += all_threads()) {
    const int64_t begin = i / inner * n * inner + i % inner;
    double sum = 0;
    for (int64_t k = 0; k < n; ++k) {
      sum += static_cast<double>(x[begin + k * inner]);
      sums[begin + k * inner] = static_cast<Number>(sum);
    }
  }
}

}  // namespace elbo

extern "C" __global__ void row_sums_float(const float* x, int64_t rows, int64_t n, int slots, float* sums) {
  elbo::add_rows_of(x, rows, n, slots, sums);
}
extern "C" __global__ void row_sums_double(const double* x, int64_t rows, int64_t n, int slots,
                                           double* sums) {
  elbo::add_rows_of(x, rows, n, slots, sums);
}
extern "C" __global__ void column_sums_float(const float* x, int64_t outer, int64_t n, int64_t inner,
                                             float* sums) {
  elbo::add_columns_of(x, outer, n, inner, sums);
}
extern "C" __global__ void column_sums_double(const double* x, int64_t outer, int64_t n, int64_t inner,
                                              double* sums) {
  elbo::add_columns_of(x, outer, n, inner, sums);
}
extern "C" __global__ void running_sums_float(const float* x, int64_t outer, int64_t n, int64_t inner,
                                              float* sums) {
  elbo::running_sums_of(x, outer, n, inner, sums);
}
extern "C" __global__ void running_sums_double(const double* x, int64_t outer, int64_t n, int64_t inner,
                                               double* sums) {
  elbo::running_sums_of(x, outer, n, inner, sums);
}

// The gradient of an embedding: each row of the table adds the places of its index, ascending.
extern "C" __global__ void embedding_gradient(const float* gradient, const int64_t* index, int64_t places,
                                              int64_t rows, int64_t width, int64_t padding_index,
                                              float* table) {
  for (int64_t i = elbo::first_element(); i < rows * width; i += elbo::all_threads()) {
    const int64_t row = i / width, column = i % width;
    float sum = 0;
    if (row != padding_index)
      for (int64_t place = 0; place < places; ++place)
        if (index[place] == row) sum += gradient[place * width + column];
    table[i] = sum;
  }
}

// Adds source (outer, n, inner) to sums (outer, size, inner) at the places of an index, over ascending n. The
// strides of the index may be 0.
extern "C" __global__ void scatter_sums(const float* source, const int64_t* index, int64_t index_outer,
                                        int64_t index_step, int64_t index_inner, int64_t outer, int64_t n,
                                        int64_t inner, int64_t size, float* sums) {
  for (int64_t i = elbo::first_element(); i < outer * inner; i += elbo::all_threads()) {
    const int64_t from = i / inner, column = i % inner;
    for (int64_t k = 0; k < n; ++k) {
      const int64_t place = index[from * index_outer + k * index_step + column * index_inner];
      sums[(from * size + place) * inner + column] += source[(from * n + k) * inner + column];
    }
  }
}

// The squares of a block of 1024 numbers in double precision, by sixteen partial sums, then ascending
// (parallel/block_norm.h).
extern "C" __global__ void square_sums(const float* x, int64_t blocks, double* sums) {
  constexpr int slots = elbo::threads_of_block / elbo::lanes_of_row;
  __shared__ double totals[slots][elbo::lanes_of_row];
  const int slot = static_cast<int>(threadIdx.x) / elbo::lanes_of_row;
  const int lane = static_cast<int>(threadIdx.x) % elbo::lanes_of_row;
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * slots; first < blocks;
       first += static_cast<int64_t>(gridDim.x) * slots) {
    const int64_t block = first + slot;
    double total = 0;
    if (block < blocks)
      for (int64_t i = lane; i < elbo::summed_at_once_on_gpu; i += elbo::lanes_of_row) {
        const auto value = static_cast<double>(x[block * elbo::summed_at_once_on_gpu + i]);
        total += value * value;
      }
    totals[slot][lane] = total;
    __syncthreads();
    if (block < blocks && lane == 0) {
      double sum = 0;
      for (int other = 0; other < elbo::lanes_of_row; ++other) sum += totals[slot][other];
      sums[block] = sum;
    }
    __syncthreads();
  }
}
