#include "elbo/data/batch.h"

#include <torch/types.h>

namespace elbo {
namespace {

// The dimension of a row along which the mask follows x, from the end: channels of images, features of
// others.
int64_t mask_dim(size_t row_dims) { return row_dims >= 3 ? -3 : -1; }

}  // namespace

torch::Tensor Batch::encoder_input() const {
  if (!observed.defined()) return x;
  return torch::cat({x, observed.to(x.scalar_type())}, mask_dim(static_cast<size_t>(x.dim()) - 1));
}

Batch Batch::with_x(const torch::Tensor& values) const {
  Batch other = *this;
  other.x = observed.defined() ? values.masked_fill(observed.logical_not(), 0) : values;
  return other;
}

std::vector<int64_t> DataShape::encoder_row() const {
  std::vector<int64_t> row = x;
  if (masked) row[row.size() - static_cast<size_t>(-mask_dim(row.size()))] *= 2;
  return row;
}

}  // namespace elbo
