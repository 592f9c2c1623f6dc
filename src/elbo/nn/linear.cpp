#include "elbo/nn/linear.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "elbo/kernels/product.h"
#include "elbo/nn/kernels.h"

namespace elbo {
namespace {

// x (n, m), contiguous.
MatrixView view_of(const torch::Tensor& x) {
  return {x.const_data_ptr<float>(), x.size(0), x.size(1), x.size(1), 1};
}

class PortableLinear : public torch::autograd::Function<PortableLinear> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& weight, const torch::Tensor& bias) {
    const torch::Tensor rows = x.reshape({-1, weight.size(1)}).contiguous();
    context->save_for_backward({rows, weight});
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes.back() = weight.size(0);
    torch::Tensor y = torch::empty(sizes, x.options());
    product(view_of(rows), view_of(weight).transposed(), bias.const_data_ptr<float>(),
            y.mutable_data_ptr<float>());
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradient) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor &x = saved[0], &weight = saved[1];
    const torch::Tensor dy = gradient[0].reshape({-1, weight.size(0)}).contiguous();
    torch::Tensor dx, dw, db;
    if (context->needs_input_grad(0)) {
      std::vector<int64_t> sizes = gradient[0].sizes().vec();
      sizes.back() = weight.size(1);
      dx = torch::empty(sizes, x.options());
      product(view_of(dy), view_of(weight), nullptr, dx.mutable_data_ptr<float>());
    }
    if (context->needs_input_grad(1)) {
      dw = torch::empty_like(weight);
      product(view_of(dy).transposed(), view_of(x), nullptr, dw.mutable_data_ptr<float>());
    }
    if (context->needs_input_grad(2)) {
      db = torch::empty({weight.size(0)}, x.options());
      column_sums(dy.const_data_ptr<float>(), dy.size(0), dy.size(1), db.mutable_data_ptr<float>());
    }
    return {dx, dw, db};
  }
};

}  // namespace

torch::Tensor linear(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  return is_for_portable_kernels(x) ? PortableLinear::apply(x, weight, bias) : torch::linear(x, weight, bias);
}

}  // namespace elbo
