// The arithmetic of this folder on a GPU, with the same bits: the same chains of fused multiply-adds,
// functions and orders of sums, from the sources in cuda/. libelbo_cuda.so compiles them for the GPU when
// they are first wanted, and starts them on LibTorch's current stream. Pointers are to device memory. Calls
// return when the kernel is enqueued; they throw Error where it cannot be.
#pragma once
#include <cstdint>
#include <string>

#include "elbo/kernels/adam_element.h"
#include "elbo/kernels/cuda/tasks.h"
#include "elbo/kernels/elementary.h"
#include "elbo/kernels/patches.h"

namespace elbo::gpu {

// A kernel of cuda/, its grid of one dimension, and pointers to its arguments.
struct Launch {
  const char* kernel;
  int64_t blocks;
  int threads;
  void** arguments;
};

// What libelbo_cuda.so exports as elbo_kernel_launcher. Its functions throw Error.
struct Launcher {
  std::string (*architecture)(int device);  // of the GPU: "sm_90"
  std::string (*source)();                  // the kernels' text, and the compiler that is there
  // The kernels compiled for an architecture: a cubin. Needs no GPU.
  std::string (*compile)(const std::string& architecture);
  void (*load)(int device, const std::string& cubin);  // onto the only GPU that the process uses
  void (*launch)(const Launch& launch);                // on LibTorch's current stream of that GPU
};

// Loads libelbo_cuda.so. Throws Error where it is missing.
const Launcher& library();

// Loads the kernels onto GPU `device`, and from now on gpu:: computes there. They are compiled once for an
// architecture: the result is kept in $XDG_CACHE_HOME/elbo, or in ~/.cache/elbo. Again: does nothing.
void start(int device);

// From now on gpu:: computes by `launcher`, the tests' stand-in, in host memory, where operators use it for
// all tensors; null: no more.
void use_stand_in(const Launcher* launcher);
bool is_in_use();
// Whether operations on memory of the CPU, or of the GPU, are gpu::'s.
bool computes(bool on_cpu);

// As in functions.h, sums.h, product.h and patches.h; of patches all.
void map(Elementary function, const float* x, int64_t n, float* y);
void map(Elementary function, const double* x, int64_t n, double* y);
void row_sums(const float* x, int64_t rows, int64_t n, float* sums);
void row_sums(const double* x, int64_t rows, int64_t n, double* sums);
// x (outer, n, inner) → sums (outer, inner) over ascending n; running_sums: (outer, n, inner), added in
// double precision.
void column_sums(const float* x, int64_t outer, int64_t n, int64_t inner, float* sums);
void column_sums(const double* x, int64_t outer, int64_t n, int64_t inner, double* sums);
void running_sums(const float* x, int64_t outer, int64_t n, int64_t inner, float* sums);
void running_sums(const double* x, int64_t outer, int64_t n, int64_t inner, double* sums);
void product(const ProductTask<float>& task);
void product(const ProductTask<double>& task);
void gather_patches(const Patches& shape, const float* images, float* patches);
void add_patches(const Patches& shape, const float* patches, float* images);

// table (rows, width): each row adds gradient (places, width) over the ascending places of its index.
void embedding_gradient(const float* gradient, const int64_t* index, int64_t places, int64_t rows,
                        int64_t width, int64_t padding_index, float* table);

// sums (outer, size, inner) += source (outer, n, inner), over ascending n, at the places
// index[o · outer step + k · n step + i · inner step].
struct IndexView {
  const int64_t* data;
  int64_t outer, step, inner;  // strides
};
void scatter_sums(const float* source, const IndexView& index, int64_t outer, int64_t n, int64_t inner,
                  int64_t size, float* sums);

// A step of a recurrent cell and its gradients, in the memory order of nn/gates.cpp.
void gru_forward(const float* input, const float* recurrent, const float* before, int64_t rows,
                 int64_t hidden, float* kept, float* next);
void gru_backward(const float* kept, const float* recurrent, const float* before, const float* d_next,
                  int64_t rows, int64_t hidden, float* d_input, float* d_recurrent, float* d_before);
void lstm_forward(const float* input, const float* recurrent, const float* before, int64_t rows,
                  int64_t hidden, float* kept, float* next);
void lstm_backward(const float* kept, const float* recurrent, const float* before, const float* d_next,
                   int64_t rows, int64_t hidden, float* d_input, float* d_recurrent, float* d_before);

// The log likelihood of nn/bernoulli.h and its slope: logits (rows, features), x (x_rows, features), which
// repeats.
void bernoulli_rows(const float* logits, const float* x, int64_t rows, int64_t x_rows, int64_t features,
                    float* log_prob, float* slope);

// The update of optim/optimizer.h, and the square sums of parallel/block_norm.h.
void adam_update(int64_t n, const AdamFactors& factors, const float* gradient, float* parameters,
                 float* exp_avg, float* exp_avg_sq);
void square_sums(const float* x, int64_t blocks, double* sums);

}  // namespace elbo::gpu
