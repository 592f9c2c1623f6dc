#include "elbo/comm/cuda_library.h"

#include <torch/cuda.h>
#include <torch/types.h>

#include <atomic>
#include <cstdlib>

#include "elbo/base/error.h"
#include "elbo/base/plugin.h"

namespace elbo {
namespace {

const CudaFunctions* open_functions(std::string* why) {
  const void* table = plugin_symbol("libelbo_cuda.so", "elbo_cuda_functions", why);
  if (table == nullptr) *why += "; libelbo_cuda.so is built only if CUDA's headers are found";
  return static_cast<const CudaFunctions*>(table);
}

bool open_cuda(std::string* why) {
  std::string reason;
  if (!load_library("libcuda.so.1", &reason)) {
    *why = "no NVIDIA driver is installed (" + reason + ")";
    return false;
  }
  if (!load_library("libtorch_cuda.so", &reason)) {
    *why = "this LibTorch has no CUDA library; launch/setup.sh --cuda installs one (" + reason + ")";
    return false;
  }
  return true;
}

}  // namespace

bool cuda_available(std::string* why) {
  std::string reason;
  const bool loaded = open_cuda(&reason) && open_functions(&reason) != nullptr;
  const bool available = loaded && torch::cuda::is_available();
  if (loaded && !available) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    reason = "the NVIDIA driver is installed, but finds no GPU";
    if (visible != nullptr)
      reason += fmt::format(", with CUDA_VISIBLE_DEVICES={}", *visible == '\0' ? "(empty)" : visible);
  }
  if (why != nullptr) *why = reason;
  return available;
}

const CudaFunctions& load_cuda(bool host_memory_only) {
  static std::atomic<const CudaFunctions*> of_gpu = nullptr;  // looked up once: each step asks for memory
  if (const CudaFunctions* known = of_gpu; known != nullptr) return *known;
  std::string why;
  const bool backend = host_memory_only || open_cuda(&why);
  const CudaFunctions* functions = backend ? open_functions(&why) : nullptr;
  if (functions == nullptr) usage_error("GPUs cannot be used: {}; fix that, or use train.device=cpu", why);
  if (!host_memory_only) of_gpu = functions;
  return *functions;
}

}  // namespace elbo
