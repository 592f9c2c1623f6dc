// The door to libelbo_cuda.so, the only code that includes CUDA and NCCL headers. It is loaded when a GPU is
// wanted, so a CPU rank starts fast and an installation without GPUs lacks just one file.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "elbo/comm/communicator.h"
#include "elbo/comm/wait.h"

namespace elbo {

struct DeviceMemory {
  int64_t allocated = 0, peak = 0, total = 0;  // bytes
};

// The table of functions that libelbo_cuda.so exports under the name elbo_cuda_functions.
struct CudaFunctions {
  // `id`: 128 bytes from make_nccl_id() of rank 0. Blocks until all ranks have joined or `timeout` seconds
  // are over.
  std::unique_ptr<Communicator> (*make_nccl_world)(const std::string& id, const RankName& name, int size,
                                                   torch::Device device, double timeout);
  std::string (*make_nccl_id)();
  DeviceMemory (*device_memory)(torch::Device device);
};

// True where an NVIDIA driver (libcuda.so.1), LibTorch's CUDA half and libelbo_cuda.so can be loaded and a
// GPU answers; otherwise `why` says which is missing.
bool cuda_available(std::string* why = nullptr);

// Loads LibTorch's CUDA half and libelbo_cuda.so (searched beside the program, in ../lib, then where the
// loader looks). Throws a usage Error that says what is missing. Only libelbo_cuda.so is needed where
// `host_memory_only` (the tests' NCCL stand-in has no device).
const CudaFunctions& load_cuda(bool host_memory_only = false);

}  // namespace elbo
