#include "elbo/comm/cuda_library.h"

#include <dlfcn.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <array>
#include <filesystem>

#include "elbo/base/error.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// Loaded for the rest of the process's life: LibTorch cannot be taken apart again.
void* open_library(const std::string& name, std::string* why) {
  void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) *why = ::dlerror();
  return handle;
}

// Beside the program, in its ../lib, or wherever the loader finds it: a program of somebody's own, linked to
// elbo's libraries, has their folder in its search path.
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
      *why = "libelbo_cuda.so, which is built where CUDA's headers are, cannot be loaded (" + *why + ")";
    return nullptr;
  }
  const void* table = ::dlsym(handle, "elbo_cuda_functions");
  if (table == nullptr) *why = library.string() + " is not of this version of elbo";
  return static_cast<const CudaFunctions*>(table);
}

bool open_cuda(std::string* why) {
  std::string reason;
  if (open_library("libcuda.so.1", &reason) == nullptr) {
    *why = "no NVIDIA driver is installed (" + reason + ")";
    return false;
  }
  if (open_library("libtorch_cuda.so", &reason) == nullptr) {
    *why = "this LibTorch has no CUDA half, launch/setup.sh --cuda brings it (" + reason + ")";
    return false;
  }
  return true;
}

}  // namespace

bool cuda_available(std::string* why) {
  std::string reason;
  const bool loaded = open_cuda(&reason) && open_functions(&reason) != nullptr;
  const bool available = loaded && torch::cuda::is_available();
  if (loaded && !available) reason = "the driver answers, but there is no GPU";
  if (why != nullptr) *why = reason;
  return available;
}

const CudaFunctions& load_cuda(bool host_memory_only) {
  std::string why;
  const bool backend = host_memory_only || open_cuda(&why);
  const CudaFunctions* functions = backend ? open_functions(&why) : nullptr;
  if (functions == nullptr) usage_error("GPUs cannot be used: {}; use train.device=cpu, or mend that", why);
  return *functions;
}

}  // namespace elbo
