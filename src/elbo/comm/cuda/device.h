// Streams, events and memory of a device. Without a device (the tests' NCCL stand-in works in host memory)
// there is no stream, and a call is complete when it returns.
#pragma once
#include <cuda_runtime_api.h>
#include <torch/types.h>

#include <string>

#include "elbo/comm/cuda_library.h"

namespace elbo {

// A stream for communication, separate from LibTorch's current stream.
class CommStream {
 public:
  explicit CommStream(torch::Device device);

  // Makes later work on this stream wait for all work enqueued on LibTorch's current stream. Returns this
  // stream; null in host memory.
  cudaStream_t wait_for_current();

 private:
  torch::Device device_;
  cudaStream_t stream_ = nullptr;  // owned by LibTorch's pool
};

// A CUDA event; null in host memory, where all work is complete.
class CudaEvent {
 public:
  explicit CudaEvent(torch::Device device);
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;
  void record(cudaStream_t stream);
  void block(cudaStream_t stream) const;  // later work on the stream waits for the event
  // cudaSuccess if the recorded work is complete, cudaErrorNotReady if not, or the error.
  cudaError_t query() const;

 private:
  cudaEvent_t event_ = nullptr;
};

// Bytes of tensors in LibTorch's caching allocator (current and peak), and the device's total memory.
DeviceMemory device_memory(torch::Device device);

std::string pci_bus_id(torch::Device device);

}  // namespace elbo
