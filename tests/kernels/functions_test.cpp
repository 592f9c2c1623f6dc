#include "elbo/kernels/functions.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace elbo {
namespace {

struct Tested {
  std::string name;
  Elementary function;
  std::function<long double(long double)> exact;
  double ulps;  // as docs/reproducibility.md says
};

std::vector<Tested> all_tested() {
  return {{"exp", Elementary::exp, [](long double x) { return std::exp(x); }, 1.0},
          {"tanh", Elementary::tanh, [](long double x) { return std::tanh(x); }, 1.3},
          {"sigmoid", Elementary::sigmoid, [](long double x) { return 1 / (1 + std::exp(-x)); }, 2.2},
          {"softplus", Elementary::softplus,
           [](long double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))); }, 1.6}};
}

std::vector<float> mapped(Elementary function, const std::vector<float>& x, InstructionSet set) {
  std::vector<float> y(x.size());
  map(function, x.data(), static_cast<int64_t>(x.size()), y.data(), set);
  return y;
}

// Every 40,009th float, from all exponents and both signs.
std::vector<float> many_floats() {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32U); bits += 40'009)
    if (const auto value = std::bit_cast<float>(static_cast<uint32_t>(bits)); std::isfinite(value))
      x.push_back(value);
  for (int i = -20'000; i <= 20'000; ++i) x.push_back(static_cast<float>(i) * 0.001F);
  return x;
}

TEST(Functions, AreWithinTheirErrors) {
  const std::vector<float> x = many_floats();
  for (const auto& [name, function, exact, ulps] : all_tested()) {
    SCOPED_TRACE(name);
    const std::vector<float> y = mapped(function, x, instruction_set());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const long double expected = exact(x[i]);
      if (std::isinf(static_cast<float>(expected))) {
        EXPECT_EQ(y[i], static_cast<float>(expected)) << x[i];
      } else if (std::fabs(expected) < std::numeric_limits<float>::min()) {
        EXPECT_NEAR(y[i], static_cast<double>(expected), 3e-45) << x[i];
      } else {
        const long double ulp = std::ldexp(1.0L, std::ilogb(expected) - 23);
        worst = std::max(worst, static_cast<double>(std::fabs(y[i] - expected) / ulp));
      }
    }
    EXPECT_LT(worst, ulps);
  }
}

TEST(Functions, HaveTheSameBitsForEveryInstructionSet) {
  const std::vector<float> x = many_floats();
  for (const auto& [name, function, exact, ulps] : all_tested()) {
    const std::vector<float> portable = mapped(function, x, InstructionSet::portable);
    for (const InstructionSet set : {InstructionSet::avx2, InstructionSet::avx512})
      if (is_available(set)) {
        EXPECT_EQ(mapped(function, x, set), portable) << name << " " << name_of(set);
      }
  }
}

TEST(Functions, ADifferentNumberOfElementsChangesNoBit) {
  const std::vector<float> x = {-3,    -0.5F, 0, 0.25F, 1, 2,  7,  -20, 30, 0.1F,
                                -0.1F, 5,     6, 8,     9, 10, 11, 12,  13};
  for (const auto& [name, function, exact, ulps] : all_tested()) {
    const std::vector<float> whole = mapped(function, x, instruction_set());
    for (size_t n = 1; n < x.size(); ++n) {
      const std::vector<float> part =
          mapped(function, {x.begin(), x.begin() + static_cast<int64_t>(n)}, instruction_set());
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin())) << name << n;
    }
  }
}

TEST(Functions, NaNAndInfinity) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const auto& [name, function, exact, ulps] : all_tested()) {
    const std::vector<float> y = mapped(function, {std::nanf(""), infinity, -infinity}, instruction_set());
    EXPECT_TRUE(std::isnan(y[0])) << name;
    EXPECT_EQ(y[1], static_cast<float>(exact(infinity))) << name;
    EXPECT_EQ(y[2], static_cast<float>(exact(-infinity))) << name;
  }
}

}  // namespace
}  // namespace elbo
