// LibTorch's operators with one order of every sum and one definition of every function. Layers, models and
// LibTorch's own derivatives are written in operators; LibTorch's dispatcher decides which kernel computes
// one. Here its kernels for CPUs, whose bits depend on the width of the CPU's vectors, and those for GPUs,
// are replaced by those of kernels/, for float32 and float64.
#pragma once
#include <string>

namespace elbo {

// From now on, for the whole process, or no more. Call it while no other thread computes. Throws as
// instruction_set() does.
void use_portable_operators(bool on);

// The same for GPUs: from now on, for the whole process. gpu::start() comes first.
void use_portable_gpu_operators();

// Whether the operator `name`, such as "aten::sum.dim_IntList", is computed by kernels/ now, on CPUs or on
// GPUs.
bool is_portable_operator(const std::string& name, bool on_gpu = false);

}  // namespace elbo
