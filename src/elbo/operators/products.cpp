#include <ATen/native/Resize.h>
#include <torch/types.h>

#include "elbo/operators/compute.h"
#include "elbo/operators/registration.h"
#include "elbo/operators/tensors.h"

namespace elbo {
namespace {

using at::Scalar;
using at::Tensor;

// x (n, m) as it is in memory, or a copy of it, which `holder` keeps.
MatrixView matrix_of(const Tensor& x, Tensor& holder) {
  const bool by_row = x.stride(1) == 1 || x.size(1) == 1, by_column = x.stride(0) == 1 || x.size(0) == 1;
  holder = by_row || by_column ? x : x.contiguous();
  const float* const data = holder.const_data_ptr<float>();
  if (by_row || !by_column) return {data, x.size(0), x.size(1), holder.stride(0), 1};
  return {data, x.size(0), x.size(1), 1, holder.stride(1)};
}

void require_matrices(const Tensor& a, const Tensor& b) {
  TORCH_CHECK(a.dim() == 2 && b.dim() == 2 && a.size(1) == b.size(0) && a.scalar_type() == b.scalar_type() &&
                  is_real(a),
              "matrices of ", a.sizes(), " and ", b.sizes(), " cannot be multiplied");
}

// C (batches, n, m) = A·B on a GPU, where any strides will do.
template <typename Number>
ProductTask<Number> task_of(const Tensor& a, const Tensor& b, Tensor& c) {
  return {.batches = a.size(0),
          .rows = a.size(1),
          .depth = a.size(2),
          .columns = b.size(2),
          .a = a.const_data_ptr<Number>(),
          .a_batch = a.stride(0),
          .a_row = a.stride(1),
          .a_depth = a.stride(2),
          .b = b.const_data_ptr<Number>(),
          .b_batch = b.stride(0),
          .b_depth = b.stride(1),
          .b_column = b.stride(2),
          .start = nullptr,
          .start_batch = 0,
          .start_row = 0,
          .start_column = 0,
          .c = c.mutable_data_ptr<Number>()};
}
void multiply_batches_on_gpu(const Tensor& a, const Tensor& b, Tensor& c) {
  with_type(a, [&]<typename Number>(Number*) { gpu::product(task_of<Number>(a, b, c)); });
}

void multiply(const Tensor& a, const Tensor& b, const float* start, Tensor& c) {
  if (a.scalar_type() == at::kDouble) {
    if (on_gpu(a)) return multiply_batches_on_gpu(a.unsqueeze(0), b.unsqueeze(0), c);
    const Tensor left = a.contiguous(), right = b.contiguous();
    product(left.const_data_ptr<double>(), right.const_data_ptr<double>(), a.size(0), a.size(1), b.size(1),
            c.mutable_data_ptr<double>());
    return;
  }
  Tensor left, right;
  KernelsOf(a).product(matrix_of(a, left), matrix_of(b, right), start, c.mutable_data_ptr<float>());
}

Tensor mm_of(const Tensor& a, const Tensor& b) {
  require_matrices(a, b);
  Tensor c = at::empty({a.size(0), b.size(1)}, a.options());
  multiply(a, b, nullptr, c);
  return c;
}
Tensor& mm_out(const Tensor& a, const Tensor& b, Tensor& out) {
  at::native::resize_output(out, {a.size(0), b.size(1)});
  return out.copy_(mm_of(a, b));
}

// beta·start + alpha·A·B. With factors of 1, the chains begin at `start`.
Tensor addmm_of(const Tensor& start, const Tensor& a, const Tensor& b, const Scalar& beta,
                const Scalar& alpha) {
  require_matrices(a, b);
  if (a.scalar_type() != at::kFloat || !beta.equal(1) || !alpha.equal(1))
    return start * beta + mm_of(a, b) * alpha;
  if (start.dim() == 1 && start.size(0) == b.size(1)) {
    Tensor c = at::empty({a.size(0), b.size(1)}, a.options());
    const Tensor values = start.contiguous();
    multiply(a, b, values.const_data_ptr<float>(), c);
    return c;
  }
  Tensor c = start.expand({a.size(0), b.size(1)}).clone(at::MemoryFormat::Contiguous), left, right;
  KernelsOf(a).add_product(matrix_of(a, left), matrix_of(b, right), c.mutable_data_ptr<float>());
  return c;
}
Tensor& addmm_in_place(Tensor& start, const Tensor& a, const Tensor& b, const Scalar& beta,
                       const Scalar& alpha) {
  return start.copy_(addmm_of(start, a, b, beta, alpha));
}

Tensor bmm_of(const Tensor& a, const Tensor& b) {
  TORCH_CHECK(a.dim() == 3 && b.dim() == 3 && a.size(0) == b.size(0), "batches of matrices of ", a.sizes(),
              " and ", b.sizes(), " cannot be multiplied");
  Tensor c = at::empty({a.size(0), a.size(1), b.size(2)}, a.options());
  if (on_gpu(a)) {
    TORCH_CHECK(a.size(2) == b.size(1) && a.scalar_type() == b.scalar_type() && is_real(a),
                "batches of matrices of ", a.sizes(), " and ", b.sizes(), " cannot be multiplied");
    multiply_batches_on_gpu(a, b, c);
    return c;
  }
  for (int64_t i = 0; i < a.size(0); ++i) {
    Tensor slice = c.select(0, i);
    require_matrices(a.select(0, i), b.select(0, i));
    multiply(a.select(0, i), b.select(0, i), nullptr, slice);
  }
  return c;
}
Tensor& bmm_out(const Tensor& a, const Tensor& b, Tensor& out) {
  at::native::resize_output(out, {a.size(0), a.size(1), b.size(2)});
  return out.copy_(bmm_of(a, b));
}
Tensor baddbmm(const Tensor& start, const Tensor& a, const Tensor& b, const Scalar& beta,
               const Scalar& alpha) {
  return start * beta + bmm_of(a, b) * alpha;
}

Tensor mv_of(const Tensor& a, const Tensor& x) { return mm_of(a, x.unsqueeze(1)).squeeze(1); }
Tensor dot(const Tensor& x, const Tensor& y) { return mm_of(x.unsqueeze(0), y.unsqueeze(1)).squeeze(); }
Tensor addmv(const Tensor& start, const Tensor& a, const Tensor& x, const Scalar& beta, const Scalar& alpha) {
  return start * beta + mv_of(a, x) * alpha;
}

}  // namespace

void add_products(OperatorTable& table) {
  table.add("mm", mm_of);
  table.add("mm.out", mm_out);
  table.add("addmm", addmm_of);
  table.add("addmm_", addmm_in_place);
  table.add("bmm", bmm_of);
  table.add("bmm.out", bmm_out);
  table.add("baddbmm", baddbmm);
  table.add("mv", mv_of);
  table.add("dot", dot);
  table.add("addmv", addmv);
}

}  // namespace elbo
