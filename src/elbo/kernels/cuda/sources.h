// The texts that NVRTC compiles, which CMake embeds.
#pragma once
#include <string_view>
#include <vector>

namespace elbo {

struct SourceText {
  const char* name;  // as it is included
  std::string_view text;
};

const std::vector<SourceText>& kernel_sources();

}  // namespace elbo
