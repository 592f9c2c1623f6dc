#include "comm/cuda/device.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "base/error.h"

namespace elbo {

cudaStream_t current_stream(torch::Device device) {
  return device.is_cuda() ? c10::cuda::getCurrentCUDAStream(device.index()).stream() : nullptr;
}

cudaError_t stream_state(torch::Device device) {
  return device.is_cuda() ? cudaStreamQuery(current_stream(device)) : cudaSuccess;
}

DeviceMemory device_memory(torch::Device device) {
  const c10::cuda::CUDAGuard guard(device);
  size_t free = 0, total = 0;
  if (const cudaError_t error = cudaMemGetInfo(&free, &total); error != cudaSuccess)
    fail("{}: its memory could not be asked for: {}", device.str(), cudaGetErrorString(error));
  constexpr auto all = static_cast<size_t>(c10::CachingDeviceAllocator::StatType::AGGREGATE);
  const auto held = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index()).allocated_bytes[all];
  return {.allocated = held.current, .peak = held.peak, .total = static_cast<int64_t>(total)};
}

}  // namespace elbo
