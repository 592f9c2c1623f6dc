// The values that an element of a row may have: what a likelihood is defined for, and what is checked as rows
// are read.
#pragma once

namespace elbo {

enum class Support { real, non_negative, unit_interval, counts };

inline const char* describe(Support support) {
  if (support == Support::unit_interval) return "values in [0, 1]";
  if (support == Support::counts) return "whole numbers of 0 or more";
  return support == Support::non_negative ? "values of 0 or more" : "numbers";
}

// What is wrong with a finite value that is not in the support: "has a value {}".
inline const char* describe_violation(Support support) {
  if (support == Support::unit_interval) return "outside of [0, 1]";
  return support == Support::counts ? "that is not a whole number of 0 or more" : "below 0";
}

}  // namespace elbo
