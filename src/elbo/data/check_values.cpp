#include "elbo/data/check_values.h"

#include <bit>

#include "elbo/base/vectorize.h"

namespace elbo {
namespace {

// Bit patterns of float32. NaN and infinity have the largest exponent. The patterns of values in [0, 1] are
// at most that of 1, except that of -0.
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

}  // namespace

bool are_valid(const float* values, int64_t n, bool in_unit_interval) {
  if (!in_unit_interval) return !any_above(values, n, sign, infinity - 1);
  if (!any_above(values, n, 0, one)) return true;
  for (int64_t i = 0; i < n; ++i)  // -0 is rare
    if (!(values[i] >= 0 && values[i] <= 1)) return false;
  return true;
}

}  // namespace elbo
