// Whose kernels compute LibTorch's operators on CPUs.
#pragma once
#include <torch/types.h>

#include <cstdint>

namespace elbo {

enum class Kernels : uint8_t {
  library,   // LibTorch's: which order they add in depends on the CPU and on the number of rows
  portable,  // elbo's (operators/operators.h): the same bits on every CPU
};

// For all models of the process, from now on. Call it before a model computes. Throws as instruction_set()
// does.
void use_kernels(Kernels kernels);

// Whether operations on x are for the portable kernels: they are in use, and x is float32 on the CPU.
bool is_for_portable_kernels(const torch::Tensor& x);

}  // namespace elbo
