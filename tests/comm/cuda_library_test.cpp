#include "elbo/comm/cuda_library.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "elbo/base/error.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

TEST(CudaLibrary, GivesAReasonExactlyIfNoGpuCanBeUsed) {
  std::string why;
  const bool available = cuda_available(&why);
  EXPECT_EQ(available, why.empty()) << why;
  EXPECT_EQ(cuda_available(), available);
}

TEST(CudaLibrary, LoadsIfItWasBuilt) {
  if (fs::exists(fs::read_symlink("/proc/self/exe").parent_path() / "libelbo_cuda.so")) {
    const CudaFunctions& functions = load_cuda(/*host_memory_only=*/true);
    EXPECT_NE(functions.make_nccl_world, nullptr);
    EXPECT_NE(functions.make_nccl_id, nullptr);
    EXPECT_NE(functions.device_memory, nullptr);
  } else {
    EXPECT_THROW(load_cuda(/*host_memory_only=*/true), Error);
  }
}

}  // namespace
}  // namespace elbo
