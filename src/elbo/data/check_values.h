// Validation of values.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/support.h"

namespace elbo {

// What each value must be, and what to do about one that is not, or, for Support::real, about NaN: the end of
// the error message.
struct ValueRule {
  Support support = Support::real;
  std::string remedy;
  std::vector<Support>
      columns{};  // of tables whose columns differ, in place of `support`; empty: they do not
};

// Whether all n values are finite and in the support. Runs at memory bandwidth.
bool are_valid(const float* values, int64_t n, Support support);

// Throws a usage Error that names the first row with a value that is not valid. values: `rows` rows of
// `features`, of which the first has the number `first_row`; path and dataset are where they are from.
void require_valid(const float* values, int64_t rows, int64_t features, const ValueRule& rule,
                   const std::string& path, const std::string& dataset, int64_t first_row);

}  // namespace elbo
