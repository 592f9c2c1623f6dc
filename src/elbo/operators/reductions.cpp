#include <ATen/WrapDimUtilsMulti.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/sum_cpu_dispatch.h>
#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "elbo/operators/compute.h"
#include "elbo/operators/registration.h"
#include "elbo/operators/tensors.h"

namespace elbo {

at::Tensor sum_of_rows(const at::Tensor& rows) {
  const int64_t n = rows.size(-1);
  at::Tensor sums = at::empty(rows.sizes().slice(0, static_cast<size_t>(rows.dim()) - 1), rows.options());
  with_type(rows, [&]<typename Number>(Number*) {
    KernelsOf(rows).row_sums(rows.const_data_ptr<Number>(), sums.numel(), n, sums.mutable_data_ptr<Number>());
  });
  return sums;
}

namespace {

using Dims = at::OptionalIntArrayRef;

// (outer, n, inner), contiguous → the sums over n in ascending order (outer, inner).
at::Tensor sum_of_columns(const at::Tensor& x) {
  at::Tensor sums = at::empty({x.size(0), x.size(2)}, x.options());
  with_type(x, [&]<typename Number>(Number*) {
    KernelsOf(x).column_sums(x.const_data_ptr<Number>(), x.size(0), x.size(1), x.size(2),
                             sums.mutable_data_ptr<Number>());
  });
  return sums;
}

// A real x. Where the last dimension is among those that are summed, the numbers of each sum are a row, in
// the order of their indices, and are added as sum() does (kernels/sums.h). Otherwise they are added in
// ascending order. Dimensions of size 1 do not count.
at::Tensor sum_of_real(const at::Tensor& x, Dims dims, bool keep) {
  const bool all = !dims.has_value() || dims->empty();
  const auto summed = at::dim_list_to_bitset(all ? Dims() : dims, static_cast<size_t>(x.dim()));
  std::vector<int64_t> before, within, after, sizes;
  int64_t outer = 1, n = 1, inner = 1;
  bool last_is_summed = true;
  for (int64_t d = 0; d < x.dim(); ++d) {
    const int64_t size = x.size(d);
    const bool is_summed = summed[static_cast<size_t>(d)];
    if (keep || !is_summed) sizes.push_back(is_summed ? 1 : size);
    if (size != 1) last_is_summed = is_summed;
    if (is_summed) {
      within.push_back(d);
      n *= size;
    } else if (within.empty()) {
      before.push_back(d);
      outer *= size;
    } else {
      after.push_back(d);
      inner *= size;
    }
  }
  std::vector<int64_t>& first = last_is_summed ? after : within;
  before.insert(before.end(), first.begin(), first.end());
  const std::vector<int64_t>& last = last_is_summed ? within : after;
  before.insert(before.end(), last.begin(), last.end());
  const at::Tensor ordered = x.permute(before).contiguous();
  const at::Tensor sums = last_is_summed ? sum_of_rows(ordered.view({outer * inner, n}))
                                         : sum_of_columns(ordered.view({outer, n, inner}));
  return sums.view(sizes);
}

at::Tensor sum_dims(const at::Tensor& x, Dims dims, bool keep, std::optional<at::ScalarType> dtype) {
  const at::ScalarType type = dtype.value_or(x.scalar_type());
  if (type == at::kFloat || type == at::kDouble) return sum_of_real(x.to(type), dims, keep);
  if (x.is_cpu()) return at::cpu::sum(x, dims, keep, dtype);
  TORCH_CHECK(at::isIntegralType(type, /*includeBool=*/true), "the kernels for GPUs have no sums of ", type);
  return sum_of_real(x.to(at::kDouble), dims, keep).to(dtype.value_or(at::kLong));  // exact below 2⁵³
}
at::Tensor& sum_out(const at::Tensor& x, Dims dims, bool keep, std::optional<at::ScalarType> dtype,
                    at::Tensor& out) {
  const at::Tensor sums = sum_dims(x, dims, keep, dtype ? dtype : out.scalar_type());
  at::native::resize_output(out, sums.sizes());
  return out.copy_(sums);
}
at::Tensor sum_all(const at::Tensor& x, std::optional<at::ScalarType> dtype) {
  return sum_dims(x, Dims(), /*keep=*/false, dtype);
}

// By the sums of the values and of the squared distances from their mean.
at::Tensor variance(const at::Tensor& x, Dims dims, const std::optional<at::Scalar>& correction, bool keep) {
  const at::Tensor total = sum_of_real(x, dims, /*keep=*/true);
  const auto n = static_cast<double>(x.numel()) / static_cast<double>(std::max<int64_t>(1, total.numel()));
  const double degrees = std::max(0.0, n - (correction ? correction->toDouble() : 1.0));
  const at::Tensor distance = x - total / n;
  return sum_of_real(distance * distance, dims, keep) / degrees;
}
at::Tensor deviation(const at::Tensor& x, Dims dims, const std::optional<at::Scalar>& correction, bool keep) {
  return mapped(Elementary::sqrt, variance(x, dims, correction, keep));
}

}  // namespace

void add_reductions(OperatorTable& table) {
  table.add("sum", sum_all);
  table.add("sum.dim_IntList", sum_dims);
  table.add("sum.IntList_out", sum_out);
  table.add("var.correction", variance);
  table.add("std.correction", deviation);
}

}  // namespace elbo
