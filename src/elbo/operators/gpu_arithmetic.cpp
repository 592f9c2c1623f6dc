// LibTorch's GPU kernels fuse a + alpha·b, multiply by the reciprocal of a divisor that is a number, multiply
// a sum by 1/n for its mean, and add cumulative sums in parallel. Here all of them round as on the CPU.
// Single additions and quotients are left to LibTorch's kernels that write into a given tensor (add.out, …),
// which are not replaced.
#include <ATen/WrapDimUtils.h>
#include <torch/types.h>

#include <optional>

#include "elbo/operators/compute.h"
#include "elbo/operators/registration.h"
#include "elbo/operators/tensors.h"

namespace elbo {
namespace {

using at::Scalar;
using at::Tensor;

// Of a result; numbers without a dimension do not widen the type of tensors.
Tensor result_of(const Tensor& a, const Tensor& b) {
  const Tensor& on_device = a.dim() == 0 && a.is_cpu() ? b : a;
  return at::empty({0}, on_device.options().dtype(at::result_type(a, b)));
}

Tensor scaled_by(const Tensor& x, const Scalar& alpha) { return alpha.equal(1) ? x : x * alpha; }

Tensor add_on_gpu(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  Tensor sum = result_of(a, b);
  return at::add_out(sum, a, scaled_by(b, alpha));
}
Tensor& add_in_place_on_gpu(Tensor& a, const Tensor& b, const Scalar& alpha) {
  return at::add_out(a, a, scaled_by(b, alpha));
}
Tensor sub_on_gpu(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  Tensor difference = result_of(a, b);
  return at::sub_out(difference, a, scaled_by(b, alpha));
}
Tensor& sub_in_place_on_gpu(Tensor& a, const Tensor& b, const Scalar& alpha) {
  return at::sub_out(a, a, scaled_by(b, alpha));
}

// A number as a tensor on the device, in the type in which it divides.
Tensor divisor_of(const Tensor& a, const Tensor& b) {
  if (!b.is_cpu() || b.dim() != 0 || a.is_cpu()) return b;
  const at::ScalarType type = at::result_type(a, b);
  return at::full({}, b.item(), a.options().dtype(at::isFloatingType(type) ? type : at::kFloat));
}
Tensor div_on_gpu(const Tensor& a, const Tensor& b) {
  Tensor quotient = result_of(a, b);
  if (!at::isFloatingType(quotient.scalar_type())) quotient = quotient.to(at::kFloat);
  return at::div_out(quotient, a, divisor_of(a, b));
}
Tensor& div_in_place_on_gpu(Tensor& a, const Tensor& b) { return at::div_out(a, a, divisor_of(a, b)); }

Tensor mean_on_gpu(const Tensor& x, at::OptionalIntArrayRef dims, bool keep,
                   std::optional<at::ScalarType> type) {
  const Tensor sums = at::sum(x, dims, keep, type);
  return sums / (static_cast<double>(x.numel()) / static_cast<double>(sums.numel()));
}

// A tensor's dimensions before `dim`, and after it, as one each.
struct Around {
  Around(const Tensor& x, int64_t wrapped_dim) {
    const int64_t dim = at::maybe_wrap_dim(wrapped_dim, x.dim());
    for (int64_t d = 0; d < x.dim(); ++d) (d < dim ? outer : d == dim ? n : inner) *= x.size(d);
  }
  int64_t outer = 1, n = 1, inner = 1;
};

Tensor cumsum_on_gpu(const Tensor& x, int64_t dim, std::optional<at::ScalarType> dtype) {
  const bool integral = at::isIntegralType(dtype.value_or(x.scalar_type()), /*includeBool=*/true);
  // Sums of integers below 2⁵³ are exact in float64.
  const Tensor numbers = x.to(integral ? at::kDouble : dtype.value_or(x.scalar_type())).contiguous();
  TORCH_CHECK(is_real(numbers), "the kernels for GPUs have cumulative sums of float32, float64 and integers");
  const Around size(numbers, dim);
  Tensor sums = at::empty_like(numbers);
  with_type(numbers, [&]<typename Number>(Number*) {
    gpu::running_sums(numbers.const_data_ptr<Number>(), size.outer, size.n, size.inner,
                      sums.mutable_data_ptr<Number>());
  });
  return integral ? sums.to(dtype.value_or(at::kLong)) : sums;
}

// Adds `source` to x along `dim`; strides(places, dimensions of the source) is the index.
template <typename Strides>
Tensor& add_at(Tensor& x, int64_t dim, const Tensor& index, const Tensor& source, Strides&& strides) {
  Tensor sums = x.contiguous();
  const Tensor from = source.contiguous(), places = index.contiguous();
  const Around of_source(from, dim), of_sums(sums, dim);
  TORCH_CHECK(x.scalar_type() == at::kFloat && source.scalar_type() == at::kFloat &&
                  index.scalar_type() == at::kLong && of_source.outer == of_sums.outer &&
                  of_source.inner == of_sums.inner,
              "the kernels for GPUs add float32 ", source.sizes(), " to places of float32 ", x.sizes(),
              " only where the other dimensions are equal");
  gpu::scatter_sums(from.const_data_ptr<float>(), strides(places.const_data_ptr<int64_t>(), of_source),
                    of_source.outer, of_source.n, of_source.inner, of_sums.n, sums.mutable_data_ptr<float>());
  return sums.is_same(x) ? x : x.copy_(sums);
}

Tensor& scatter_add_in_place_on_gpu(Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  TORCH_CHECK(index.sizes() == source.sizes(), "the kernels for GPUs scatter ", source.sizes(),
              " by an index of the same sizes, not ", index.sizes());
  return add_at(x, dim, index, source, [](const int64_t* places, const Around& size) {
    return gpu::IndexView{places, size.n * size.inner, size.inner, 1};
  });
}
Tensor scatter_add_on_gpu(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  Tensor sums = x.clone(at::MemoryFormat::Contiguous);
  return scatter_add_in_place_on_gpu(sums, dim, index, source);
}

Tensor& index_add_in_place_on_gpu(Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                                  const Scalar& alpha) {
  return add_at(x, dim, index, scaled_by(source, alpha), [](const int64_t* places, const Around&) {
    return gpu::IndexView{places, 0, 1, 0};
  });
}
Tensor index_add_on_gpu(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source,
                        const Scalar& alpha) {
  Tensor sums = x.clone(at::MemoryFormat::Contiguous);
  return index_add_in_place_on_gpu(sums, dim, index, source, alpha);
}

}  // namespace

void add_gpu_arithmetic(OperatorTable& table) {
  table.add("add.Tensor", add_on_gpu);
  table.add("add_.Tensor", add_in_place_on_gpu);
  table.add("sub.Tensor", sub_on_gpu);
  table.add("sub_.Tensor", sub_in_place_on_gpu);
  table.add("div.Tensor", div_on_gpu);
  table.add("div_.Tensor", div_in_place_on_gpu);
  table.add("mean.dim", mean_on_gpu);
  table.add("cumsum", cumsum_on_gpu);
  table.add("scatter_add", scatter_add_on_gpu);
  table.add("scatter_add_", scatter_add_in_place_on_gpu);
  table.add("index_add", index_add_on_gpu);
  table.add("index_add_", index_add_in_place_on_gpu);
}

}  // namespace elbo
