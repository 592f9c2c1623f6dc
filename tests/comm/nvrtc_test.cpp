// NVRTC compiles the kernels of libelbo_cuda without a GPU.
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/base/plugin.h"
#include "elbo/kernels/gpu.h"

namespace elbo {
namespace {

// Null where libelbo_cuda was not built.
const gpu::Launcher* launcher(std::string& why) {
  return static_cast<const gpu::Launcher*>(plugin_symbol("libelbo_cuda.so", "elbo_kernel_launcher", &why));
}

// The text of the kernels; "" where there is no NVRTC.
std::string source_of(const gpu::Launcher& kernels, std::string& why) {
  try {
    return kernels.source();
  } catch (const Error& error) {
    why = error.what();
    return "";
  }
}

std::vector<std::string> kernel_names(const std::string& source) {
  const std::regex kernel(R"(extern "C" __global__ void (?:__launch_bounds__\(\d+\)\s*)?(\w+)\()");
  std::vector<std::string> names;
  for (std::sregex_iterator found(source.begin(), source.end(), kernel), end; found != end; ++found)
    names.push_back((*found)[1]);
  return names;
}

TEST(Nvrtc, CompilesEveryKernelForEachArchitecture) {
  std::string why;
  const gpu::Launcher* const kernels = launcher(why);
  if (kernels == nullptr) GTEST_SKIP() << why;
  const std::string source = source_of(*kernels, why);
  if (source.empty()) GTEST_SKIP() << why;
  const std::vector<std::string> names = kernel_names(source);
  EXPECT_GE(names.size(), 20U);
  for (const char* architecture : {"sm_80", "sm_90", "sm_100"}) {
    const std::string cubin = kernels->compile(architecture);
    EXPECT_EQ(cubin.substr(1, 3), "ELF") << architecture;
    for (const std::string& name : names)
      EXPECT_NE(cubin.find(name), std::string::npos) << architecture << name;
  }
}

TEST(Nvrtc, NamesAnArchitectureThatItDoesNotKnow) {
  std::string why;
  const gpu::Launcher* const kernels = launcher(why);
  if (kernels == nullptr || source_of(*kernels, why).empty()) GTEST_SKIP() << why;
  try {
    kernels->compile("sm_3");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("for sm_3: "), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace elbo
