#include "elbo/nn/dense.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include <optional>

#include "elbo/kernels/gradient_sums.h"
#include "elbo/kernels/product.h"
#include "elbo/nn/kernels.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The gradient of the transposed weight (in, out) in the thread's sums: a view of them, whose values may
// contain those of other microbatches, or undefined where it has to be computed.
torch::Tensor add_to_sums(const torch::Tensor& gradient, const torch::Tensor& x,
                          const torch::Tensor& transposed) {
  const float* const parameter = transposed.const_data_ptr<float>();
  // A derivative that has derivatives itself is one more use.
  if (torch::GradMode::is_enabled()) GradientSums::exclude(parameter);
  if (!transposed.t().is_contiguous()) return {};
  const std::optional<GradientSums::Place> place = GradientSums::take(parameter);
  if (!place) return {};
  const torch::Tensor slopes = gradient.contiguous(), in = x.contiguous();
  const MatrixView a{slopes.const_data_ptr<float>(), slopes.size(1), slopes.size(0), 1, slopes.size(1)};
  const MatrixView b{in.const_data_ptr<float>(), in.size(0), in.size(1), in.size(1), 1};
  place->adds ? add_sums(a, b, place->sums) : product(a, b, nullptr, place->sums);
  return torch::from_blob(place->sums, transposed.t().sizes(), transposed.options().requires_grad(false)).t();
}

// Takes the transposed weight, as LibTorch's does: so the gradients of a weight with several uses are added
// in the same order.
class PortableDense : public torch::autograd::Function<PortableDense> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x,
                               const torch::Tensor& transposed, const torch::Tensor& bias) {
    GradientSums::count_use(transposed.const_data_ptr<float>());
    context->save_for_backward({x, transposed});
    return torch::addmm(bias, x, transposed);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const torch::Tensor &gradient = gradients[0], &x = saved[0], &transposed = saved[1];
    variable_list result(3);
    if (context->needs_input_grad(0)) result[0] = gradient.mm(transposed.t());
    if (context->needs_input_grad(1)) {
      result[1] = add_to_sums(gradient, x, transposed);
      if (!result[1].defined()) result[1] = gradient.t().mm(x).t();
    }
    if (context->needs_input_grad(2)) result[2] = gradient.sum(0);
    return result;
  }
};

}  // namespace

torch::Tensor dense(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias) {
  if (x.dim() == 2 && x.is_cpu() && weight.requires_grad() && torch::GradMode::is_enabled() &&
      is_for_portable_kernels(x))
    return PortableDense::apply(x, weight.t(), bias);
  if (weight.is_cpu() && weight.scalar_type() == torch::kFloat32)
    GradientSums::exclude(weight.const_data_ptr<float>());
  return torch::linear(x, weight, bias);
}

}  // namespace elbo
