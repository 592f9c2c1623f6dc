// Derivatives are functions of tensors here: each operation in them rounds once.
#include <ATen/native/Resize.h>
#include <torch/types.h>

#include <numbers>
#include <string_view>
#include <tuple>

#include "elbo/operators/registration.h"
#include "elbo/operators/tensors.h"

namespace elbo {
namespace {

using at::Scalar;
using at::Tensor;

Tensor softplus(const Tensor& x, const Scalar& beta, const Scalar& /*threshold*/) {
  if (beta.toDouble() == 1) return mapped(Elementary::softplus, x);
  return mapped(Elementary::softplus, x * beta).div_(beta);
}
Tensor softplus_backward(const Tensor& dy, const Tensor& x, const Scalar& beta, const Scalar& /*threshold*/) {
  return dy * mapped(Elementary::sigmoid, beta.toDouble() == 1 ? x : x * beta);
}

std::tuple<Tensor, Tensor> log_sigmoid_forward(const Tensor& x) {
  return {mapped(Elementary::log_sigmoid, x), at::empty({0}, x.options())};
}
Tensor log_sigmoid_backward(const Tensor& dy, const Tensor& x, const Tensor& /*buffer*/) {
  return dy * mapped(Elementary::sigmoid, -x);
}

Tensor sigmoid_backward_of(const Tensor& dy, const Tensor& y) { return dy * ((1 - y) * y); }
Tensor tanh_backward_of(const Tensor& dy, const Tensor& y) { return dy * (1 - y * y); }

// The derivatives of models with several losses write into a given tensor.
Tensor& sigmoid_backward_out(const Tensor& dy, const Tensor& y, Tensor& dx) {
  at::native::resize_output(dx, dy.sizes());
  return dx.copy_(sigmoid_backward_of(dy, y));
}
Tensor& tanh_backward_out(const Tensor& dy, const Tensor& y, Tensor& dx) {
  at::native::resize_output(dx, dy.sizes());
  return dx.copy_(tanh_backward_of(dy, y));
}

Tensor silu(const Tensor& x) { return x * mapped(Elementary::sigmoid, x); }
Tensor silu_backward(const Tensor& dy, const Tensor& x) {
  const Tensor s = mapped(Elementary::sigmoid, x);
  return dy * (s * (1 + x * (1 - s)));
}

Tensor elu(const Tensor& x, const Scalar& alpha, const Scalar& scale, const Scalar& input_scale) {
  const Tensor below = mapped(Elementary::expm1, x * input_scale) * alpha;
  return at::where(x > 0, x, below) * scale;
}
Tensor elu_backward(const Tensor& dy, const Scalar& alpha, const Scalar& scale, const Scalar& input_scale,
                    bool is_result, const Tensor& of) {
  const Tensor below = is_result ? of + alpha.toDouble() * scale.toDouble()
                                 : mapped(Elementary::exp, of * input_scale) * alpha * scale;
  return dy * at::where(of > 0, at::full({}, scale, of.options()), below * input_scale);
}

Tensor normal_cdf(const Tensor& x) {
  return (mapped(Elementary::erf, x * (1 / std::numbers::sqrt2)) + 1) * 0.5;
}
void require_exact_gelu(std::string_view approximate) {
  TORCH_CHECK(approximate == "none",
              "elbo's kernels have gelu without approximation only; use train.kernels=library");
}
Tensor gelu(const Tensor& x, std::string_view approximate) {
  require_exact_gelu(approximate);
  return x * normal_cdf(x);
}
Tensor gelu_backward(const Tensor& dy, const Tensor& x, std::string_view approximate) {
  require_exact_gelu(approximate);
  const double norm = std::numbers::inv_sqrtpi / std::numbers::sqrt2;  // 1/√2π
  const Tensor density = mapped(Elementary::exp, x * x * -0.5) * norm;
  return dy * (normal_cdf(x) + x * density);
}

Tensor logaddexp(const Tensor& a, const Tensor& b) {
  const Tensor larger = at::maximum(a, b), distance = (a - b).abs();
  // Where both are the same infinity, their distance is NaN.
  const Tensor more = mapped(Elementary::log1p, mapped(Elementary::exp, -distance));
  return at::where(larger.isinf(), larger, larger + more);
}

// 0 at x = 0, -∞ below.
Tensor special_entr(const Tensor& x) {
  const Tensor y = -x * mapped(Elementary::log, x);
  return at::where(x > 0, y, at::where(x == 0, at::zeros({}, x.options()), x * INFINITY));
}

Tensor logit(const Tensor& x, std::optional<double> epsilon) {
  const Tensor inside = epsilon ? x.clamp(*epsilon, 1 - *epsilon) : x;
  return mapped(Elementary::log, inside / (1 - inside));
}

}  // namespace

void add_activations(OperatorTable& table) {
  table.add("softplus", softplus);
  table.add("softplus_backward", softplus_backward);
  table.add("log_sigmoid_forward", log_sigmoid_forward);
  table.add("log_sigmoid_backward", log_sigmoid_backward);
  table.add("sigmoid_backward", sigmoid_backward_of);
  table.add("sigmoid_backward.grad_input", sigmoid_backward_out);
  table.add("tanh_backward", tanh_backward_of);
  table.add("tanh_backward.grad_input", tanh_backward_out);
  table.add("silu", silu);
  table.add("silu_backward", silu_backward);
  table.add("elu", elu);
  table.add("elu_backward", elu_backward);
  table.add("gelu", gelu);
  table.add("gelu_backward", gelu_backward);
  table.add("logaddexp", logaddexp);
  table.add("special_entr", special_entr);
  table.add("logit", logit);
}

}  // namespace elbo
