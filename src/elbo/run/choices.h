// Settings that are chosen for the user, and why.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/options.h"

namespace elbo {

struct Choice {
  Setting setting;
  std::string why;
};

class Choices {
 public:
  template <typename T>
  void choose(const std::string& key, const T& value, const std::string& why) {
    all.push_back({{key, fmt::format("{}", value)}, why});
  }
  std::vector<Choice> all;
};

// Why model.warmup_steps is chosen.
constexpr const char* warmup_reason =
    "the KL term's weight rises over a fifth of the run, so that z is used (Bowman et al. 2016)";

// The nearest multiple of `unit` within the limits.
inline int64_t rounded(double x, int64_t unit, int64_t low, int64_t high) {
  return std::clamp(static_cast<int64_t>(std::llround(x / static_cast<double>(unit))) * unit, low, high);
}

}  // namespace elbo
