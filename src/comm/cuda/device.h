// The only place that knows whether a world has a device: without one (the tests' NCCL stand-in works in host
// memory) there is no stream, and what a call did is done when the call is.
#pragma once
#include <cuda_runtime_api.h>
#include <torch/types.h>

#include "comm/cuda_library.h"

namespace elbo {

// LibTorch's current stream of the device, in which its kernels run; null in host memory.
cudaStream_t current_stream(torch::Device device);

// cudaSuccess once all that was put on the current stream is done, cudaErrorNotReady before, or what failed.
cudaError_t stream_state(torch::Device device);

// Bytes that LibTorch's allocator holds in tensors, now and at most so far, and the device's memory.
DeviceMemory device_memory(torch::Device device);

}  // namespace elbo
