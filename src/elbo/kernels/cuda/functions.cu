// Elementary functions: the definitions of the CPU, for one number at a time.
#include "elbo/kernels/functions_kernel.h"

namespace elbo {

__device__ inline int64_t first_element() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline int64_t all_threads() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

}  // namespace elbo

extern "C" __global__ void map_float(int function, const float* x, int64_t n, float* y) {
  for (int64_t i = elbo::first_element(); i < n; i += elbo::all_threads())
    elbo::map_by(static_cast<elbo::Elementary>(function), x + i, 1, y + i);
}

extern "C" __global__ void map_double(int function, const double* x, int64_t n, double* y) {
  for (int64_t i = elbo::first_element(); i < n; i += elbo::all_threads())
    elbo::map_scalar_by(static_cast<elbo::Elementary>(function), x + i, 1, y + i);
}
