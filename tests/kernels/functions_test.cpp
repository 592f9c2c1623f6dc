#include "elbo/kernels/functions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <random>
#include <string>
#include <vector>

namespace elbo {
namespace {

struct Tested {
  std::string name;
  Elementary function;
  std::function<long double(long double)> exact;
  double ulps, double_ulps;  // in float32 and float64, as docs/reproducibility.md says
  std::function<bool(double)> in_domain = [](double) { return true; };
};

long double exact_log1p_exp(long double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))); }

// Γ'/Γ, by its recurrence and its asymptotic series.
long double exact_digamma(long double x) {
  long double sum = 0;
  for (; x < 30; ++x) sum -= 1 / x;
  const long double z = 1 / (x * x);
  return sum + std::log(x) - 0.5L / x -
         z * (1.0L / 12 - z * (1.0L / 120 - z * (1.0L / 252 - z * (1.0L / 240 - z / 132))));
}

std::vector<Tested> all_tested() {
  const double unlimited = std::numeric_limits<double>::infinity();  // see the next tests
  const auto small_angle = [](double x) { return std::fabs(x) <= 0x1p20; };
  const auto positive = [](double x) { return x >= 0; };
  const auto moderate = [](double x) { return x >= 1e-30 && x <= 1e30; };
  return {
      {"exp", Elementary::exp, [](long double x) { return std::exp(x); }, 1.0, 1.0},
      {"tanh", Elementary::tanh, [](long double x) { return std::tanh(x); }, 1.3, 3.0},
      {"sigmoid", Elementary::sigmoid, [](long double x) { return 1 / (1 + std::exp(-x)); }, 2.2, 2.5},
      {"softplus", Elementary::softplus, exact_log1p_exp, 1.6, 2.0},
      {"log_sigmoid", Elementary::log_sigmoid, [](long double x) { return -exact_log1p_exp(-x); }, 0.51, 2.0},
      {"log", Elementary::log, [](long double x) { return std::log(x); }, 0.51, 1.0, positive},
      {"log1p", Elementary::log1p, [](long double x) { return std::log1p(x); }, 0.51, 1.5,
       [](double x) { return x >= -1; }},
      {"expm1", Elementary::expm1, [](long double x) { return std::expm1(x); }, 0.51, 2.5},
      {"erf", Elementary::erf, [](long double x) { return std::erf(x); }, 0.51, 1500},
      {"sin", Elementary::sin, [](long double x) { return std::sin(x); }, 0.51, unlimited, small_angle},
      {"cos", Elementary::cos, [](long double x) { return std::cos(x); }, 0.51, unlimited, small_angle},
      {"sqrt", Elementary::sqrt, [](long double x) { return std::sqrt(x); }, 0.51, 0.51, positive},
      {"lgamma", Elementary::lgamma, [](long double x) { return std::lgamma(x); }, unlimited, unlimited,
       moderate},
      {"digamma", Elementary::digamma, exact_digamma, unlimited, unlimited, moderate}};
}

template <typename Number>
std::vector<Number> mapped(Elementary function, const std::vector<Number>& x, InstructionSet set) {
  std::vector<Number> y(x.size());
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

std::vector<double> many_doubles() {
  std::vector<double> x;
  for (const float value : many_floats()) {
    x.push_back(static_cast<double>(value) * 1.000000123456789);
    if (std::fabs(value) > 1e-30F && std::fabs(value) < 1e30F) x.push_back(std::pow(value, 7));
  }
  return x;
}

template <typename Number>
void expect_within(const Tested& tested, const std::vector<Number>& x, double ulps) {
  if (std::isinf(ulps)) return;
  const std::vector<Number> y = mapped(tested.function, x, instruction_set());
  double worst = 0, worst_at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!tested.in_domain(static_cast<double>(x[i]))) continue;
    const long double expected = tested.exact(x[i]);
    if (std::isinf(static_cast<Number>(expected))) {
      EXPECT_EQ(y[i], static_cast<Number>(expected)) << x[i];
    } else if (std::fabs(expected) < std::numeric_limits<Number>::min()) {
      EXPECT_NEAR(static_cast<double>(y[i]), static_cast<double>(expected),
                  std::numeric_limits<Number>::min())
          << x[i];
    } else {
      const long double ulp =
          std::ldexp(1.0L, std::ilogb(expected) + 1 - std::numeric_limits<Number>::digits);
      const auto error = static_cast<double>(std::fabs(static_cast<long double>(y[i]) - expected) / ulp);
      if (!(error <= worst)) worst = error, worst_at = static_cast<double>(x[i]);
    }
  }
  EXPECT_LT(worst, ulps) << tested.name << " at " << worst_at;
}

TEST(Functions, AreWithinTheirErrors) {
  const std::vector<float> x = many_floats();
  const std::vector<double> precise = many_doubles();
  for (const Tested& tested : all_tested()) {
    SCOPED_TRACE(tested.name);
    expect_within(tested, x, tested.ulps);
    expect_within(tested, precise, tested.double_ulps);
  }
}

// Near the zeros of these functions only the absolute error is small.
TEST(Functions, OfGammaAreWithinTheirErrors) {
  for (double x = 1e-12; x < 1e12; x *= 1.01)
    for (const Tested& tested : all_tested()) {
      if (tested.name != "lgamma" && tested.name != "digamma") continue;
      const auto expected = static_cast<double>(tested.exact(x));
      EXPECT_NEAR(mapped(tested.function, std::vector<double>{x}, instruction_set())[0], expected,
                  4e-15 * std::max(4.0, std::fabs(expected)))
          << tested.name << " " << x;
    }
}

TEST(Functions, OfAnglesAreWithinTheirErrorsInDoublePrecision) {
  for (double x = -1000; x < 1000; x += 0.37) {
    EXPECT_NEAR(mapped(Elementary::sin, std::vector<double>{x}, instruction_set())[0], std::sin(x), 3e-16);
    EXPECT_NEAR(mapped(Elementary::cos, std::vector<double>{x}, instruction_set())[0], std::cos(x), 3e-16);
  }
}

// NaN is NaN, whatever its bits.
template <typename Number>
bool same_bits(const std::vector<Number>& a, const std::vector<Number>& b) {
  return std::ranges::equal(a, b, [](Number x, Number y) {
    return (std::isnan(x) && std::isnan(y)) || (x == y && std::signbit(x) == std::signbit(y));
  });
}

TEST(Functions, HaveTheSameBitsForEveryInstructionSet) {
  const std::vector<float> x = many_floats();
  const std::vector<double> precise = many_doubles();
  for (const Tested& tested : all_tested()) {
    const std::vector<float> portable = mapped(tested.function, x, InstructionSet::portable);
    const std::vector<double> precisely = mapped(tested.function, precise, InstructionSet::portable);
    for (const InstructionSet set : {InstructionSet::avx2, InstructionSet::avx512})
      if (is_available(set)) {
        SCOPED_TRACE(tested.name + " " + name_of(set));
        EXPECT_TRUE(same_bits(mapped(tested.function, x, set), portable));
        EXPECT_TRUE(same_bits(mapped(tested.function, precise, set), precisely));
      }
  }
}

TEST(Functions, ADifferentNumberOfElementsChangesNoBit) {
  const std::vector<float> x = {-3,    -0.5F, 0, 0.25F, 1, 2,  7,  -20, 30, 0.1F,
                                -0.1F, 5,     6, 8,     9, 10, 11, 12,  13};
  for (const Tested& tested : all_tested()) {
    const std::vector<float> whole = mapped(tested.function, x, instruction_set());
    for (size_t n = 1; n < x.size(); ++n) {
      const auto end = static_cast<int64_t>(n);
      const std::vector<float> part =
          mapped(tested.function, std::vector<float>{x.begin(), x.begin() + end}, instruction_set());
      EXPECT_TRUE(same_bits(part, {whole.begin(), whole.begin() + end})) << tested.name << n;
    }
  }
}

TEST(Functions, NaNAndInfinity) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Tested& tested : all_tested()) {
    SCOPED_TRACE(tested.name);
    const std::vector<float> y =
        mapped(tested.function, std::vector<float>{std::nanf(""), infinity, -infinity}, instruction_set());
    EXPECT_TRUE(std::isnan(y[0]));
    if (tested.name == "sin" || tested.name == "cos") continue;  // beyond 2²⁰
    EXPECT_EQ(y[1], static_cast<float>(tested.exact(infinity)));
    if (tested.in_domain(-1e10)) {
      EXPECT_EQ(y[2], static_cast<float>(tested.exact(-infinity)));
    } else {
      EXPECT_TRUE(std::isnan(y[2]));
    }
  }
}

TEST(Functions, OutsideOfTheirDomainAreNotANumber) {
  for (const Elementary function :
       {Elementary::log, Elementary::sqrt, Elementary::lgamma, Elementary::digamma})
    EXPECT_TRUE(std::isnan(mapped(function, std::vector<double>{-1.5}, instruction_set())[0]));
  EXPECT_TRUE(std::isnan(mapped(Elementary::log1p, std::vector<double>{-1.5}, instruction_set())[0]));
  EXPECT_EQ(mapped(Elementary::log, std::vector<double>{0.0}, instruction_set())[0],
            -std::numeric_limits<double>::infinity());
  EXPECT_EQ(mapped(Elementary::log1p, std::vector<double>{-1.0}, instruction_set())[0],
            -std::numeric_limits<double>::infinity());
}

TEST(NormalNumbers, AreBoxAndMullersOfTheirWords) {
  std::mt19937 generator(1);
  std::vector<uint32_t> words = {0, 0, 0xffffffffU, 0xffffffffU, 0x80000000U, 0x40000000U};
  while (words.size() < 2 * 10'007) words.push_back(static_cast<uint32_t>(generator()));
  const auto pairs = static_cast<int64_t>(words.size() / 2);
  std::vector<float> numbers(words.size());
  normal_numbers(words.data(), pairs, numbers.data());
  double sum = 0, squares = 0;
  for (size_t i = 0; i < words.size(); i += 2) {
    const double radius = std::sqrt(-2 * std::log(((words[i] >> 8U) + 1) * 0x1p-24));
    const double angle = (words[i + 1] >> 8U) * 0x1p-24 * 2 * std::numbers::pi;
    EXPECT_NEAR(numbers[i], radius * std::cos(angle), 1e-6);
    EXPECT_NEAR(numbers[i + 1], radius * std::sin(angle), 1e-6);
    sum += numbers[i] + numbers[i + 1];
    squares += numbers[i] * numbers[i] + numbers[i + 1] * numbers[i + 1];
  }
  EXPECT_NEAR(sum / 20'014, 0, 0.03);
  EXPECT_NEAR(squares / 20'014, 1, 0.05);
  for (const InstructionSet set : {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512})
    for (const int64_t count : {pairs, int64_t{1}, int64_t{5}, int64_t{0}}) {
      if (!is_available(set)) continue;
      std::vector<float> others(words.size(), 7.0F);
      normal_numbers(words.data(), count, others.data(), set);
      EXPECT_TRUE(std::equal(others.begin(), others.begin() + 2 * count, numbers.begin())) << name_of(set);
      EXPECT_TRUE(count == pairs || others.at(static_cast<size_t>(2 * count)) == 7.0F);
    }
}

TEST(Functions, ARowOfTheBernoulliLikelihoodHasTheSameBitsForEveryInstructionSet) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0, 5);
  for (const size_t features : {1U, 7U, 16U, 31U, 97U}) {
    std::vector<float> logits(features), x(features), expected(features), slope(features);
    for (size_t i = 0; i < features; ++i) {
      logits[i] = normal(generator);
      x[i] = i % 2 == 0 ? 1.0F : 0.25F;
    }
    const auto n = static_cast<int64_t>(features);
    const float sum = bernoulli_row(logits.data(), x.data(), n, expected.data(), InstructionSet::portable);
    for (const InstructionSet set : {InstructionSet::avx2, InstructionSet::avx512}) {
      if (!is_available(set)) continue;
      EXPECT_EQ(std::bit_cast<uint32_t>(bernoulli_row(logits.data(), x.data(), n, slope.data(), set)),
                std::bit_cast<uint32_t>(sum));
      EXPECT_EQ(slope, expected);
    }
  }
}

}  // namespace
}  // namespace elbo
