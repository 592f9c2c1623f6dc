#include "elbo/kernels/sums.h"

#include <algorithm>

#include "elbo/base/vectorize.h"

namespace elbo {
namespace {

constexpr int64_t summed_at_once = 1024;

template <typename Number>
[[gnu::always_inline]] inline Number sum_of(const Number* x, int64_t n) {
  Number total[lanes] = {};
  for (int64_t first = 0; first < n; first += summed_at_once) {
    const int64_t end = std::min(first + summed_at_once, n), whole = first + (end - first) / lanes * lanes;
    Number sums[lanes] = {};
    for (int64_t i = first; i < whole; i += lanes)
      for (int lane = 0; lane < lanes; ++lane) sums[lane] += x[i + lane];
    for (int64_t i = whole; i < end; ++i) sums[i - whole] += x[i];
    for (int lane = 0; lane < lanes; ++lane) total[lane] += sums[lane];
  }
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    for (int lane = 0; lane < distance; ++lane) total[lane] += total[lane + distance];
  return total[0];
}

template <typename Number>
[[gnu::always_inline]] inline void add_rows(const Number* x, int64_t rows, int64_t columns, Number* sums) {
  for (int64_t j = 0; j < columns; ++j) sums[j] = 0;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) sums[j] += x[i * columns + j];
}

}  // namespace

ELBO_VECTORIZE float sum(const float* x, int64_t n) { return sum_of(x, n); }
ELBO_VECTORIZE double sum(const double* x, int64_t n) { return sum_of(x, n); }

ELBO_VECTORIZE void column_sums(const float* x, int64_t rows, int64_t columns, float* sums) {
  add_rows(x, rows, columns, sums);
}
ELBO_VECTORIZE void column_sums(const double* x, int64_t rows, int64_t columns, double* sums) {
  add_rows(x, rows, columns, sums);
}

}  // namespace elbo
