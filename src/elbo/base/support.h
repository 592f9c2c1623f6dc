// The values that an element of a row may have: what a likelihood is defined for, and what is checked as rows
// are read.
#pragma once

namespace elbo {

enum class Support { real, non_negative, unit_interval };

inline const char* describe(Support support) {
  if (support == Support::unit_interval) return "values in [0, 1]";
  return support == Support::non_negative ? "values of 0 or more" : "numbers";
}

}  // namespace elbo
