// The only place that knows whether a world has a device: without one (the tests' NCCL stand-in works in host
// memory) there is no stream, and what a call did is done when the call is.
#pragma once
#include <cuda_runtime_api.h>
#include <torch/types.h>

#include "elbo/comm/cuda_library.h"

namespace elbo {

// A stream of one's own on a device, beside LibTorch's.
class CommStream {
 public:
  explicit CommStream(torch::Device device);

  // What is put on it from now on begins behind what LibTorch's current stream holds now.
  cudaStream_t follow_current();  // null in host memory

 private:
  torch::Device device_;
  cudaStream_t stream_ = nullptr;  // LibTorch's pool has it
};

// A place in a stream, and whether the device has come there.
class CudaEvent {
 public:
  explicit CudaEvent(torch::Device device);
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  void set(cudaStream_t stream);              // behind what the stream holds now
  void hold_back(cudaStream_t stream) const;  // the stream goes on once the device has come there
  // cudaSuccess once it has, cudaErrorNotReady before, or what failed.
  cudaError_t state() const;

 private:
  cudaEvent_t event_ = nullptr;  // null in host memory
};

// Bytes that LibTorch's allocator holds in tensors, now and at most so far, and the device's memory.
DeviceMemory device_memory(torch::Device device);

}  // namespace elbo
