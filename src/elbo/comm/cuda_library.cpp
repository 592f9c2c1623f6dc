#include "elbo/comm/cuda_library.h"

#include <dlfcn.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "elbo/base/error.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// The library stays loaded until the process ends: LibTorch cannot be unloaded.
void* open_library(const std::string& name, std::string* why) {
  void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) *why = ::dlerror();
  return handle;
}

// Next to the program, in its ../lib, or in the loader's search path, which includes the folder of elbo's
// libraries in a program linked to them.
fs::path elbo_cuda_library() {
  fs::path name = "libelbo_cuda.so";
  std::error_code ignored;  // then the loader looks for it
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const fs::path& place : std::array{folder, folder.parent_path() / "lib"})
    if (fs::exists(place / name, ignored)) return place / name;
  return name;
}

const CudaFunctions* open_functions(std::string* why) {
  const fs::path library = elbo_cuda_library();
  void* handle = open_library(library, why);
  if (handle == nullptr) {
    if (!library.has_parent_path())
      *why = "libelbo_cuda.so cannot be loaded; it is built only if CUDA's headers are found (" + *why + ")";
    return nullptr;
  }
  const void* table = ::dlsym(handle, "elbo_cuda_functions");
  if (table == nullptr) *why = library.string() + " belongs to another version of elbo";
  return static_cast<const CudaFunctions*>(table);
}

bool open_cuda(std::string* why) {
  std::string reason;
  if (open_library("libcuda.so.1", &reason) == nullptr) {
    *why = "no NVIDIA driver is installed (" + reason + ")";
    return false;
  }
  if (open_library("libtorch_cuda.so", &reason) == nullptr) {
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
  std::string why;
  const bool backend = host_memory_only || open_cuda(&why);
  const CudaFunctions* functions = backend ? open_functions(&why) : nullptr;
  if (functions == nullptr) usage_error("GPUs cannot be used: {}; fix that, or use train.device=cpu", why);
  return *functions;
}

}  // namespace elbo
