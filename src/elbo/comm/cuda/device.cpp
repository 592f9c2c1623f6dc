#include "elbo/comm/cuda/device.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "elbo/base/error.h"

namespace elbo {

namespace {

void check(cudaError_t error, const char* tried) {
  if (error != cudaSuccess) fail("the device could not {}: {}", tried, cudaGetErrorString(error));
}

}  // namespace

CommStream::CommStream(torch::Device device) : device_(device) {
  if (device_.is_cuda())
    stream_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device_.index()).stream();
}

cudaStream_t CommStream::follow_current() {
  if (device_.is_cuda()) {
    CudaEvent now(device_);
    now.set(c10::cuda::getCurrentCUDAStream(device_.index()).stream());
    now.hold_back(stream_);
  }
  return stream_;
}

CudaEvent::CudaEvent(torch::Device device) {
  if (!device.is_cuda()) return;
  const c10::cuda::CUDAGuard guard(device);
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "make an event");
}

CudaEvent::~CudaEvent() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

void CudaEvent::set(cudaStream_t stream) {
  if (event_ != nullptr) check(cudaEventRecord(event_, stream), "record an event");
}

void CudaEvent::hold_back(cudaStream_t stream) const {
  if (event_ != nullptr) check(cudaStreamWaitEvent(stream, event_, 0), "order two streams");
}

cudaError_t CudaEvent::state() const {
  if (event_ == nullptr) return cudaSuccess;
  const cudaError_t state = cudaEventQuery(event_);
  // It is no failure, and LibTorch's next look for one shall not find it.
  if (state == cudaErrorNotReady) static_cast<void>(cudaGetLastError());
  return state;
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
