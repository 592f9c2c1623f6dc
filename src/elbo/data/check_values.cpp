#include "elbo/data/check_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/vectorize.h"

namespace elbo {
namespace {

// Bit patterns of float32. NaN and infinity have the largest exponent. The patterns of values in [0, 1] are
// at most that of 1, except that of -0. Those of negative values are above that of infinity.
constexpr uint32_t infinity = 0x7f800000U, sign = 0x80000000U, one = 0x3f800000U;

ELBO_VECTORIZE bool any_above(const float* values, int64_t n, uint32_t ignored, uint32_t limit) {
  uint32_t above[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane)
      above[lane] |= (std::bit_cast<uint32_t>(values[i + lane]) & ~ignored) > limit ? 1U : 0U;
  for (; i < n; ++i) above[0] |= (std::bit_cast<uint32_t>(values[i]) & ~ignored) > limit ? 1U : 0U;
  uint32_t found = 0;
  for (const uint32_t lane : above) found |= lane;
  return found != 0;
}

// NaN fails every comparison. From 2²³ on all values of float32 are whole; below, adding 2²³ rounds to whole
// numbers.
inline uint32_t is_not_a_count(float x) {
  constexpr float all_whole = 0x1p23F;
  const bool whole = x >= all_whole || (x + all_whole) - all_whole == x;
  return whole && x >= 0 && x <= std::numeric_limits<float>::max() ? 0U : 1U;
}

ELBO_VECTORIZE bool any_not_a_count(const float* values, int64_t n) {
  uint32_t found[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) found[lane] |= is_not_a_count(values[i + lane]);
  for (; i < n; ++i) found[0] |= is_not_a_count(values[i]);
  return std::any_of(found, found + lanes, [](uint32_t lane) { return lane != 0; });
}

}  // namespace

bool are_valid(const float* values, int64_t n, Support support) {
  if (support == Support::real) return !any_above(values, n, sign, infinity - 1);
  if (support == Support::counts) return !any_not_a_count(values, n);
  const bool unit = support == Support::unit_interval;
  if (!any_above(values, n, 0, unit ? one : infinity - 1)) return true;
  const float highest = unit ? 1.0F : std::numeric_limits<float>::max();
  return std::all_of(values, values + n, [&](float x) { return x >= 0 && x <= highest; });  // -0 is rare
}

void require_valid(const float* values, int64_t rows, int64_t features, const ValueRule& rule,
                   const std::string& path, const std::string& dataset, int64_t first_row) {
  if (are_valid(values, rows * features, rule.support)) return;
  int64_t row = 0;
  while (are_valid(values + row * features, features, rule.support)) ++row;
  const float* const wrong = std::find_if_not(values + row * features, values + (row + 1) * features,
                                              [&](const float& x) { return are_valid(&x, 1, rule.support); });
  if (!std::isfinite(*wrong))
    usage_error("{}: {} has a value that is not finite ({}) in row {}; remove or replace it{}", path, dataset,
                std::isnan(*wrong) ? "NaN" : "infinity, or above the 3.4e38 of float32", first_row + row,
                std::isnan(*wrong) ? rule.remedy : "");
  usage_error("{}: {} has a value {} in row {}: {:g}; {}", path, dataset, describe_violation(rule.support),
              first_row + row, *wrong, rule.remedy);
}

}  // namespace elbo
