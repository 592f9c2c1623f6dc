// Loads and starts the kernels: the table of gpu.h.
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "elbo/base/error.h"
#include "elbo/kernels/cuda/nvrtc.h"
#include "elbo/kernels/gpu.h"

namespace elbo::gpu {
namespace {

void require(cudaError_t error, std::string_view tried) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // reported here, so LibTorch's next check does not
  fail("the GPU could not {}: {}", tried, cudaGetErrorString(error));
}

// The library of kernels on the process's GPU. The backward pass starts kernels in a thread of LibTorch's.
class LoadedKernels {
 public:
  void load(int device, const std::string& cubin) {
    const std::lock_guard lock(mutex_);
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    cubin_ = cubin;
    device_ = static_cast<c10::DeviceIndex>(device);
    require(cudaLibraryLoadData(&library_, cubin_.data(), nullptr, nullptr, 0, nullptr, nullptr, 0),
            "load elbo's kernels");
  }

  void launch(const Launch& launch) {
    const c10::cuda::CUDAGuard guard(device_);
    const cudaStream_t stream = c10::cuda::getCurrentCUDAStream(device_).stream();
    require(cudaLaunchKernel(find(launch.kernel), dim3(static_cast<unsigned>(launch.blocks)),
                             dim3(static_cast<unsigned>(launch.threads)), launch.arguments, 0, stream),
            fmt::format("start the kernel {}", launch.kernel));
  }

 private:
  cudaKernel_t find(const char* name) {
    const std::lock_guard lock(mutex_);
    cudaKernel_t& kernel = kernels_[name];
    if (kernel == nullptr)
      require(cudaLibraryGetKernel(&kernel, library_, name), fmt::format("find the kernel {}", name));
    return kernel;
  }

  std::mutex mutex_;
  std::string cubin_;
  c10::DeviceIndex device_ = 0;
  cudaLibrary_t library_ = nullptr;  // as long as the process lives
  std::map<std::string_view, cudaKernel_t> kernels_;
};

LoadedKernels& loaded() {
  static LoadedKernels kernels;
  return kernels;
}

std::string architecture_of(int device) {
  int major = 0, minor = 0;
  require(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
          "report its architecture");
  require(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device),
          "report its architecture");
  return fmt::format("sm_{}{}", major, minor);
}

void load_kernels(int device, const std::string& cubin) { loaded().load(device, cubin); }
void launch_kernel(const Launch& launch) { loaded().launch(launch); }

}  // namespace
}  // namespace elbo::gpu

extern "C" {
extern const elbo::gpu::Launcher elbo_kernel_launcher;
const elbo::gpu::Launcher elbo_kernel_launcher = {
    .architecture = elbo::gpu::architecture_of,
    .source = elbo::kernel_source,
    .compile = elbo::compile_kernels,
    .load = elbo::gpu::load_kernels,
    .launch = elbo::gpu::launch_kernel,
};
}
