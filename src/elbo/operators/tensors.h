// Shared by the operators: types of numbers, memory.
#pragma once
#include <torch/types.h>

#include "elbo/kernels/functions.h"

namespace elbo {

inline bool is_real(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
}

// function(x) of a real tensor, in the memory order of x where that has no gaps.
at::Tensor mapped(Elementary function, const at::Tensor& x);

// The sum over the last dimension, in the order of sum() (kernels/sums.h): contiguous (…, n) → (…).
at::Tensor sum_of_rows(const at::Tensor& rows);

// Calls visit(a pointer to Number) with the type of x.
template <typename Visit>
void with_type(const at::Tensor& x, Visit&& visit) {
  if (x.scalar_type() == at::kDouble)
    visit(static_cast<double*>(nullptr));
  else
    visit(static_cast<float*>(nullptr));
}

}  // namespace elbo
