// Loads libelbo_cuda.so, the only code that includes CUDA and NCCL headers, on first use of a GPU. So a rank
// on the CPU starts fast, and an installation without GPUs works without that file.
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

// The function table that libelbo_cuda.so exports as elbo_cuda_functions.
struct CudaFunctions {
  // `id`: the 128 bytes of make_nccl_id() on rank 0. Blocks until all ranks have joined; throws Error after
  // `timeout` seconds. Collective.
  std::unique_ptr<Communicator> (*make_nccl_world)(const std::string& id, const RankName& name, int size,
                                                   torch::Device device, double timeout);
  std::string (*make_nccl_id)();
  DeviceMemory (*device_memory)(torch::Device device);
  // Of the GPU on its host, which NCCL compares: "0000:1b:00.0".
  std::string (*pci_bus_id)(torch::Device device);
};

// Whether an NVIDIA driver (libcuda.so.1), LibTorch's CUDA library and libelbo_cuda.so can be loaded and
// there is a GPU. If not, `why` receives what is missing.
bool cuda_available(std::string* why = nullptr);

// Loads LibTorch's CUDA library and libelbo_cuda.so (searched next to the program, in ../lib, then in the
// dynamic loader's path). Throws a usage Error that names what is missing. With `host_memory_only` (the
// tests' NCCL stand-in has no device) only libelbo_cuda.so is loaded.
const CudaFunctions& load_cuda(bool host_memory_only = false);

}  // namespace elbo
