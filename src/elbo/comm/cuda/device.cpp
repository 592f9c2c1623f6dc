#include "elbo/comm/cuda/device.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "elbo/base/error.h"

namespace elbo {

namespace {

void check(cudaError_t error, const char* tried) {
  if (error != cudaSuccess) fail("the CUDA device could not {}: {}", tried, cudaGetErrorString(error));
}

}  // namespace

CommStream::CommStream(torch::Device device) : device_(device) {
  if (device_.is_cuda())
    stream_ = c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device_.index()).stream();
}

cudaStream_t CommStream::wait_for_current() {
  if (device_.is_cuda()) {
    CudaEvent now(device_);
    now.record(c10::cuda::getCurrentCUDAStream(device_.index()).stream());
    now.block(stream_);
  }
  return stream_;
}

CudaEvent::CudaEvent(torch::Device device) {
  if (!device.is_cuda()) return;
  const c10::cuda::CUDAGuard guard(device);
  check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "create an event");
}

CudaEvent::~CudaEvent() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

void CudaEvent::record(cudaStream_t stream) {
  if (event_ != nullptr) check(cudaEventRecord(event_, stream), "record an event");
}

void CudaEvent::block(cudaStream_t stream) const {
  if (event_ != nullptr) check(cudaStreamWaitEvent(stream, event_, 0), "make a stream wait for an event");
}

cudaError_t CudaEvent::query() const {
  if (event_ == nullptr) return cudaSuccess;
  const cudaError_t state = cudaEventQuery(event_);
  // Not an error: clears it, so that LibTorch's next check does not report it.
  if (state == cudaErrorNotReady) static_cast<void>(cudaGetLastError());
  return state;
}

DeviceMemory device_memory(torch::Device device) {
  // Of the process's only GPU. The question is slow, and each step asks.
  static const size_t total = [&] {
    const c10::cuda::CUDAGuard guard(device);
    size_t free = 0, all = 0;
    check(cudaMemGetInfo(&free, &all), "report its memory");
    return all;
  }();
  constexpr auto all = static_cast<size_t>(c10::CachingDeviceAllocator::StatType::AGGREGATE);
  const auto held = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index()).allocated_bytes[all];
  return {.allocated = held.current, .peak = held.peak, .total = static_cast<int64_t>(total)};
}

std::string pci_bus_id(torch::Device device) {
  char id[32] = {};
  check(cudaDeviceGetPCIBusId(id, sizeof id, device.index()), "report its PCI bus id");
  return id;
}

}  // namespace elbo
