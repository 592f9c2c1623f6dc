#include "elbo/data/batch.h"

#include <torch/types.h>

#include <limits>

namespace elbo {

torch::Tensor Batch::encoder_input() const {
  if (!observed.defined()) return x;
  return torch::cat({x, observed.to(x.scalar_type())}, 1);
}

Batch Batch::with_x(const torch::Tensor& values) const {
  Batch other = *this;
  other.x = observed.defined() ? values.masked_fill(observed.logical_not(), 0) : values;
  return other;
}

torch::Tensor Batch::marked() const {
  constexpr double missing = std::numeric_limits<double>::quiet_NaN();
  return observed.defined() ? x.masked_fill(observed.logical_not(), missing) : x;
}

std::vector<int64_t> DataShape::encoder_row() const {
  std::vector<int64_t> row = x;
  if (masked) row.front() *= 2;
  return row;
}

}  // namespace elbo
