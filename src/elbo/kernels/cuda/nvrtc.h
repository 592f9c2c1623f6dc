// NVIDIA's compiler for CUDA at run time, which LibTorch's CUDA wheels bring.
#pragma once
#include <string>

namespace elbo {

// The text of the kernels in this folder, with the version of NVRTC. Throws Error where it is missing.
std::string kernel_source();

// The kernels compiled for an architecture such as "sm_90": a cubin. Throws Error with the compiler's first
// message.
std::string compile_kernels(const std::string& architecture);

}  // namespace elbo
