// Whether numbers are data.
#pragma once
#include <cstdint>

namespace elbo {

// All n values are neither NaN nor infinity; where `in_unit_interval`, they are in [0, 1], too. As quick as
// reading them.
bool are_data(const float* values, int64_t n, bool in_unit_interval);

}  // namespace elbo
