#include <torch/types.h>

#include <algorithm>
#include <limits>

#include "elbo/base/vectorize.h"
#include "elbo/operators/compute.h"
#include "elbo/operators/registration.h"
#include "elbo/operators/tensors.h"

namespace elbo {
namespace {

// x - max x, where NaN is left out of the maximum.
template <typename Number>
[[gnu::always_inline]] inline void subtract_largest_of(const Number* x, int64_t n, Number* y) {
  Number largest[lanes];
  for (Number& of_lane : largest) of_lane = -std::numeric_limits<Number>::infinity();
  const int64_t whole = n / lanes * lanes;
  for (int64_t i = 0; i < whole; i += lanes)
    for (int lane = 0; lane < lanes; ++lane)
      largest[lane] = x[i + lane] > largest[lane] ? x[i + lane] : largest[lane];
  for (int64_t i = whole; i < n; ++i)
    largest[i - whole] = x[i] > largest[i - whole] ? x[i] : largest[i - whole];
  Number top = largest[0];
  for (const Number of_lane : largest) top = of_lane > top ? of_lane : top;
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] - top;
}
ELBO_VECTORIZE void subtract_largest(const float* x, int64_t n, float* y) { subtract_largest_of(x, n, y); }
ELBO_VECTORIZE void subtract_largest(const double* x, int64_t n, double* y) { subtract_largest_of(x, n, y); }

// (…, n) with dimension `dim` last, contiguous.
at::Tensor as_rows(const at::Tensor& x, int64_t dim) {
  return (x.dim() == 0 ? x.view({1}) : x.movedim(dim, -1)).contiguous();
}
at::Tensor from_rows(const at::Tensor& rows, const at::Tensor& like, int64_t dim) {
  return like.dim() == 0 ? rows.squeeze() : rows.movedim(-1, dim);
}

// Calls row(x, scratch, y, n) for each row: scratch has n numbers.
template <typename Row>
at::Tensor by_row(const at::Tensor& x, int64_t dim, Row&& row) {
  const at::Tensor from = as_rows(x, dim), scratch = at::empty({from.size(-1)}, x.options());
  at::Tensor to = at::empty_like(from);
  const int64_t n = from.size(-1);
  with_type(x, [&]<typename Number>(Number*) {
    for (int64_t i = 0; i < from.numel(); i += n)
      row(from.const_data_ptr<Number>() + i, scratch.mutable_data_ptr<Number>(),
          to.mutable_data_ptr<Number>() + i, n);
  });
  return from_rows(to, x, dim);
}

// x - max x of each row. On GPUs each step below is a separate kernel.
at::Tensor below_largest(const at::Tensor& rows) {
  return rows.numel() == 0 ? rows : rows - rows.amax(-1, /*keepdim=*/true);
}

at::Tensor log_softmax(const at::Tensor& x, int64_t dim, bool /*half_to_float*/) {
  if (on_gpu(x)) {
    const at::Tensor y = below_largest(as_rows(x, dim));
    const at::Tensor total = sum_of_rows(mapped(Elementary::exp, y));
    return from_rows(y - mapped(Elementary::log, total).unsqueeze(-1), x, dim);
  }
  return by_row(x, dim, []<typename Number>(const Number* from, Number* powers, Number* to, int64_t n) {
    subtract_largest(from, n, to);
    map(Elementary::exp, to, n, powers);
    Number log_sum = sum(powers, n);
    map(Elementary::log, &log_sum, 1, &log_sum);
    for (int64_t i = 0; i < n; ++i) to[i] -= log_sum;
  });
}

at::Tensor softmax(const at::Tensor& x, int64_t dim, bool /*half_to_float*/) {
  if (on_gpu(x)) {
    const at::Tensor powers = mapped(Elementary::exp, below_largest(as_rows(x, dim)));
    return from_rows(powers / sum_of_rows(powers).unsqueeze(-1), x, dim);
  }
  return by_row(x, dim, []<typename Number>(const Number* from, Number* distance, Number* to, int64_t n) {
    subtract_largest(from, n, distance);
    map(Elementary::exp, distance, n, to);
    const Number total = sum(to, n);
    for (int64_t i = 0; i < n; ++i) to[i] /= total;
  });
}

at::Tensor log_softmax_backward(const at::Tensor& dy, const at::Tensor& y, int64_t dim, at::ScalarType) {
  const at::Tensor rows = as_rows(dy, dim);
  const at::Tensor share = mapped(Elementary::exp, as_rows(y, dim)).mul_(sum_of_rows(rows).unsqueeze(-1));
  return from_rows(rows - share, dy, dim);
}

at::Tensor softmax_backward(const at::Tensor& dy, const at::Tensor& y, int64_t dim, at::ScalarType) {
  const at::Tensor rows = as_rows(dy, dim), p = as_rows(y, dim);
  return from_rows((rows - sum_of_rows(rows * p).unsqueeze(-1)).mul_(p), dy, dim);
}

}  // namespace

void add_softmax(OperatorTable& table) {
  table.add("_softmax", softmax);
  table.add("_log_softmax", log_softmax);
  table.add("_softmax_backward_data", softmax_backward);
  table.add("_log_softmax_backward_data", log_softmax_backward);
}

}  // namespace elbo
