// A range of values.
#pragma once
#include <limits>

namespace elbo {

// [lowest, highest]; infinite limits are none.
struct ValueRange {
  double lowest = -std::numeric_limits<double>::infinity(), highest = std::numeric_limits<double>::infinity();
};

}  // namespace elbo
