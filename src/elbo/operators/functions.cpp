#include <ATen/native/Resize.h>
#include <ATen/ops/cos_cpu_dispatch.h>
#include <ATen/ops/digamma_cpu_dispatch.h>
#include <ATen/ops/erf_cpu_dispatch.h>
#include <ATen/ops/exp_cpu_dispatch.h>
#include <ATen/ops/expm1_cpu_dispatch.h>
#include <ATen/ops/lgamma_cpu_dispatch.h>
#include <ATen/ops/log1p_cpu_dispatch.h>
#include <ATen/ops/log_cpu_dispatch.h>
#include <ATen/ops/sigmoid_cpu_dispatch.h>
#include <ATen/ops/sin_cpu_dispatch.h>
#include <ATen/ops/sqrt_cpu_dispatch.h>
#include <ATen/ops/tanh_cpu_dispatch.h>

#include "elbo/operators/compute.h"
#include "elbo/operators/registration.h"
#include "elbo/operators/tensors.h"

namespace elbo {

at::Tensor mapped(Elementary function, const at::Tensor& x) {
  const at::Tensor from = x.is_non_overlapping_and_dense() ? x : x.contiguous();
  at::Tensor y = at::empty_like(from);
  with_type(x, [&]<typename Number>(Number*) {
    KernelsOf(x).map(function, from.const_data_ptr<Number>(), from.numel(), y.mutable_data_ptr<Number>());
  });
  return y;
}

namespace {

// A function of each element in its three forms: exp, exp_, exp.out.
template <Elementary function, at::Tensor (*library)(const at::Tensor&)>
struct Unary {
  static at::Tensor call(const at::Tensor& x) {
    if (is_real(x)) return mapped(function, x);
    if (at::isIntegralType(x.scalar_type(), /*includeBool=*/true)) return mapped(function, x.to(at::kFloat));
    TORCH_CHECK(x.is_cpu(), "the kernels for GPUs have functions of float32 and float64, not of ",
                x.scalar_type());
    return library(x);
  }
  static at::Tensor& in_place(at::Tensor& x) { return x.copy_(call(x)); }
  static at::Tensor& out(const at::Tensor& x, at::Tensor& y) {
    at::native::resize_output(y, x.sizes());
    return y.copy_(call(x));
  }
  static void add_to(OperatorTable& table, const std::string& name) {
    table.add(name, call);
    table.add(name + "_", in_place);
    table.add(name + ".out", out);
  }
};

}  // namespace

void add_functions(OperatorTable& table) {
  Unary<Elementary::exp, at::cpu::exp>::add_to(table, "exp");
  Unary<Elementary::tanh, at::cpu::tanh>::add_to(table, "tanh");
  Unary<Elementary::sigmoid, at::cpu::sigmoid>::add_to(table, "sigmoid");
  Unary<Elementary::log, at::cpu::log>::add_to(table, "log");
  Unary<Elementary::log1p, at::cpu::log1p>::add_to(table, "log1p");
  Unary<Elementary::expm1, at::cpu::expm1>::add_to(table, "expm1");
  Unary<Elementary::erf, at::cpu::erf>::add_to(table, "erf");
  Unary<Elementary::sin, at::cpu::sin>::add_to(table, "sin");
  Unary<Elementary::cos, at::cpu::cos>::add_to(table, "cos");
  Unary<Elementary::sqrt, at::cpu::sqrt>::add_to(table, "sqrt");
  Unary<Elementary::lgamma, at::cpu::lgamma>::add_to(table, "lgamma");
  Unary<Elementary::digamma, at::cpu::digamma>::add_to(table, "digamma");
}

}  // namespace elbo
