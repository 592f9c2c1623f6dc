#include "elbo/nn/functions.h"

#include <torch/csrc/autograd/custom_function.h>
#include <torch/types.h>

#include "elbo/kernels/functions.h"
#include "elbo/nn/kernels.h"

namespace elbo {
namespace {

torch::Tensor mapped(Elementary function, const torch::Tensor& x) {
  const torch::Tensor from = x.contiguous();
  torch::Tensor y = torch::empty_like(from);
  map(function, from.const_data_ptr<float>(), from.numel(), y.mutable_data_ptr<float>());
  return y;
}

// The derivative, from x or the function's value y.
torch::Tensor slope(Elementary function, const torch::Tensor& x, const torch::Tensor& y) {
  if (function == Elementary::exp) return y;
  if (function == Elementary::tanh) return 1 - y * y;
  if (function == Elementary::sigmoid) return y * (1 - y);
  return mapped(Elementary::sigmoid, x);  // of softplus
}

template <Elementary function>
class Mapped : public torch::autograd::Function<Mapped<function>> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& x) {
    const torch::Tensor y = mapped(function, x);
    context->save_for_backward({function == Elementary::softplus ? x : y});
    return y;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradient) {
    const torch::Tensor saved = context->get_saved_variables()[0];
    return {gradient[0] * slope(function, saved, saved)};
  }
};

template <Elementary function>
torch::Tensor by_kernels(const torch::Tensor& x, torch::Tensor (*library)(const torch::Tensor&)) {
  return is_for_portable_kernels(x) ? Mapped<function>::apply(x) : library(x);
}

}  // namespace

torch::Tensor exp_of(const torch::Tensor& x) { return by_kernels<Elementary::exp>(x, torch::exp); }
torch::Tensor tanh_of(const torch::Tensor& x) { return by_kernels<Elementary::tanh>(x, torch::tanh); }
torch::Tensor sigmoid_of(const torch::Tensor& x) {
  return by_kernels<Elementary::sigmoid>(x, torch::sigmoid);
}
torch::Tensor softplus_of(const torch::Tensor& x) {
  return by_kernels<Elementary::softplus>(x, [](const torch::Tensor& of) { return torch::softplus(of); });
}

}  // namespace elbo
