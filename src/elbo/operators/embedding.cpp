#include <ATen/ops/embedding_dense_backward_cpu_dispatch.h>
#include <torch/types.h>

#include "elbo/operators/compute.h"
#include "elbo/operators/registration.h"

namespace elbo {
namespace {

// The gradient of each row of the table: additions from 0 over the places of its index, ascending.
at::Tensor embedding_dense_backward(const at::Tensor& gradient, const at::Tensor& indices, int64_t rows,
                                    int64_t padding_index, bool scale_by_frequency) {
  if (scale_by_frequency || gradient.scalar_type() != at::kFloat || indices.scalar_type() != at::kLong) {
    TORCH_CHECK(gradient.is_cpu(), "the kernels for GPUs have the gradient of an embedding in float32 only");
    return at::cpu::embedding_dense_backward(gradient, indices, rows, padding_index, scale_by_frequency);
  }
  const int64_t width = gradient.size(-1);
  const at::Tensor from = gradient.contiguous(), places = indices.contiguous();
  if (on_gpu(gradient)) {
    at::Tensor table = at::empty({rows, width}, gradient.options());
    gpu::embedding_gradient(from.const_data_ptr<float>(), places.const_data_ptr<int64_t>(), places.numel(),
                            rows, width, padding_index, table.mutable_data_ptr<float>());
    return table;
  }
  at::Tensor table = at::zeros({rows, width}, gradient.options());
  const int64_t* const index = places.const_data_ptr<int64_t>();
  const float* row = from.const_data_ptr<float>();
  for (int64_t i = 0; i < places.numel(); ++i, row += width) {
    if (index[i] == padding_index) continue;
    float* const to = table.mutable_data_ptr<float>() + index[i] * width;
    for (int64_t j = 0; j < width; ++j) to[j] += row[j];
  }
  return table;
}

}  // namespace

void add_embedding(OperatorTable& table) { table.add("embedding_dense_backward", embedding_dense_backward); }

}  // namespace elbo
