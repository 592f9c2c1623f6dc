// Arguments of the kernels for GPUs, as they travel from the host to the device. This file includes nothing
// of other libraries, because NVRTC compiles it, too.
#pragma once
#include <stdint.h>

namespace elbo {

// C (batches, rows, columns) = start + A·B: the chains of kernels/product.h. Strides are in elements and may
// be 0; C is contiguous. start: null for 0; it may be C.
template <typename Number>
struct ProductTask {
  int64_t batches, rows, depth, columns;
  const Number* a;
  int64_t a_batch, a_row, a_depth;
  const Number* b;
  int64_t b_batch, b_depth, b_column;
  const Number* start;
  int64_t start_batch, start_row, start_column;
  Number* c;
};

// Patches (kernels/patches.h), in numbers alone.
struct PatchShape {
  int64_t images, channels;
  int64_t sides[3], kernel[3], stride[3], padding[3], dilation[3], grid[3];
};

// Tiles of C that a block of threads computes.
constexpr int product_threads = 256;
constexpr int large_tile = 128, medium_tile = 64, small_tile = 32;

// Threads of a block in the other kernels; sixteen of them share a row in sums.
constexpr int threads_of_block = 256, lanes_of_row = 16;

}  // namespace elbo
