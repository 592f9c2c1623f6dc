// Whose kernels compute LibTorch's operators.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace elbo {

enum class Kernels : uint8_t {
  library,   // LibTorch's: which order they add in depends on the CPU and on the number of rows
  portable,  // elbo's (operators/operators.h): the same bits on every CPU and GPU
};

// For all models of the process, from now on. Call it before a model computes. Throws as instruction_set()
// does.
void use_kernels(Kernels kernels);

// Also on this GPU, from now on: the portable kernels are in use, and random numbers for the GPU are the
// CPU's. Throws Error where the kernels cannot be compiled or loaded.
void use_portable_kernels_on_gpu(torch::DeviceIndex device);

// Whether operations on x are for the portable kernels: they are in use on its device, and x is float32.
bool is_for_portable_kernels(const torch::Tensor& x);

}  // namespace elbo
