#include "elbo/run/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/comm/cuda_library.h"

namespace elbo {
namespace {

using testing::HasSubstr;

std::string refusal(const std::string& communication, const std::vector<std::string>& devices) {
  try {
    uses_nccl(communication, devices);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "";
}

TEST(Device, NcclIsChosenWhereEachOfSeveralRanksHasAGpuOfItsOwn) {
  EXPECT_TRUE(uses_nccl("auto", {"a 0000:1b", "a 0000:1c", "b 0000:1b"}));
  EXPECT_FALSE(uses_nccl("auto", {"a 0000:1b", "a 0000:1b"}));
  EXPECT_FALSE(uses_nccl("auto", {"a 0000:1b"}));
  EXPECT_FALSE(uses_nccl("auto", {"cpu", "cpu"}));
}

TEST(Device, ElbosKernelsAreTheDefaultOnCpusInFloat32) {
  const torch::Device gpu(torch::kCUDA, 0);
  EXPECT_EQ(choose_kernels("auto", "float32", torch::kCPU), Kernels::portable);
  EXPECT_EQ(choose_kernels("auto", "bfloat16", torch::kCPU), Kernels::library);
  EXPECT_EQ(choose_kernels("auto", "float32", gpu), Kernels::library);
  EXPECT_EQ(choose_kernels("library", "float32", torch::kCPU), Kernels::library);
  EXPECT_EQ(choose_kernels("portable", "float32", torch::kCPU), Kernels::portable);
  EXPECT_EQ(choose_kernels("portable", "float32", gpu), Kernels::portable);
}

TEST(Device, AChoiceOfCommunicationIsFollowed) {
  EXPECT_FALSE(uses_nccl("mpi", {"a 0000:1b", "a 0000:1c"}));
  EXPECT_TRUE(uses_nccl("nccl", {"a 0000:1b"}));
  EXPECT_TRUE(uses_nccl("nccl", {"cpu", "cpu"}));  // the tests' NCCL moves host memory
}

TEST(Device, NcclForTwoRanksOnOneGpuIsRefusedInASentenceThatNamesThem) {
  EXPECT_THAT(refusal("nccl", {"a 0000:1b", "a 0000:1c", "a 0000:1b"}),
              HasSubstr("ranks 0 and 2 compute on one GPU (a 0000:1b)"));
}

TEST(Device, RanksOnBothKindsOfDevicesAreRefused) {
  for (const char* communication : {"auto", "mpi", "nccl"})
    EXPECT_THAT(refusal(communication, {"cpu", "a 0000:1b", "cpu"}), HasSubstr("2 of 3 ranks"));
}

TEST(Device, AMissingGpuIsAnErrorOnlyWhereOneIsAskedFor) {
  const Environment environment;
  EXPECT_TRUE(choose_device("cpu", "--device", environment).is_cpu());
  EXPECT_NO_THROW(prepare_device(torch::kCPU, {.kernels = "portable"}));
  EXPECT_THROW(prepare_device(torch::kCPU, {.precision = "tf32"}), Error);
  use_kernels(Kernels::library);
  if (cuda_available()) {
    EXPECT_TRUE(choose_device("auto", "--device", environment).is_cuda());
  } else {
    EXPECT_TRUE(choose_device("auto", "--device", environment).is_cpu());
    EXPECT_THROW(choose_device("cuda", "--device", environment), Error);
  }
}

}  // namespace
}  // namespace elbo
