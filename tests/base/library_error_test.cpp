#include "elbo/base/library_error.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

namespace elbo {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string sentence(const std::exception& error) { return describe_library_error(error).what(); }

TEST(LibraryError, MemoryOfTheHostIsNotMemoryOfTheGpu) {
  EXPECT_THAT(sentence(std::bad_alloc()), StartsWith("memory ran out;"));
  EXPECT_THAT(sentence(std::runtime_error("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")),
              StartsWith("memory ran out;"));
  const c10::OutOfMemoryError of_device({__func__, __FILE__, __LINE__}, "CUDA out of memory. Tried to …");
  EXPECT_THAT(sentence(of_device), StartsWith("the GPU's memory ran out;"));
  EXPECT_THAT(sentence(std::runtime_error("CUDA error: out of memory\nCUDA kernel errors might be …")),
              StartsWith("the GPU's memory ran out;"));
}

TEST(LibraryError, AGpuThatAnotherProcessOwnsIsSaidToBeSo) {
  EXPECT_THAT(sentence(std::runtime_error("CUDA error: CUDA-capable device(s) is/are busy or unavailable")),
              HasSubstr("belongs to another process"));
}

TEST(LibraryError, AnOperationWithoutADeterministicKernelIsTheUsersChoice) {
  const Error error = describe_library_error(std::runtime_error(
      "cumsum_cuda_kernel does not have a deterministic implementation, but you set 'torch.use_…'"));
  EXPECT_EQ(error.code(), ExitCode::usage);
  EXPECT_THAT(error.what(), StartsWith("train.exact=true: cumsum_cuda_kernel has no"));
}

TEST(LibraryError, ATraceOfTheLibrarysCodeIsCutOff) {
  const c10::Error error({__func__, __FILE__, __LINE__}, "CUDA error: an illegal memory access\nsecond line");
  EXPECT_STREQ(sentence(error).c_str(), "the GPU failed: an illegal memory access");
  EXPECT_THAT(sentence(std::runtime_error("shapes differ\nException raised from check at a.cpp:1")),
              Not(HasSubstr("Exception raised")));
  EXPECT_EQ(describe_library_error(error).code(), ExitCode::failure);
}

TEST(LibraryError, AFileIsNamed) {
  const std::filesystem::filesystem_error error("rename", "/runs/a",
                                                std::make_error_code(std::errc::no_space_on_device));
  EXPECT_THAT(sentence(error), StartsWith("/runs/a: "));
}

}  // namespace
}  // namespace elbo
