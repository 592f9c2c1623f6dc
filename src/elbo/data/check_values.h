// Validation of values.
#pragma once
#include <cstdint>

namespace elbo {

// Whether all n values are finite and, with `in_unit_interval`, in [0, 1]. Runs at memory bandwidth.
bool are_valid(const float* values, int64_t n, bool in_unit_interval);

}  // namespace elbo
