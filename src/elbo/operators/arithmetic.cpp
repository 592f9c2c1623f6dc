// Operators that multiply and add: LibTorch rounds once or twice, as the CPU can. Here each operation rounds.
#include <ATen/ops/add_cpu_dispatch.h>
#include <ATen/ops/sub_cpu_dispatch.h>
#include <torch/types.h>

#include "elbo/operators/registration.h"

namespace elbo {
namespace {

using at::Scalar;
using at::Tensor;

bool is_one(const Scalar& x) { return x.equal(1); }

Tensor add(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  return at::cpu::add(a, is_one(alpha) ? b : b * alpha);
}
Tensor& add_in_place(Tensor& a, const Tensor& b, const Scalar& alpha) {
  return at::cpu::add_(a, is_one(alpha) ? b : b * alpha);
}
Tensor sub(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  return at::cpu::sub(a, is_one(alpha) ? b : b * alpha);
}
Tensor& sub_in_place(Tensor& a, const Tensor& b, const Scalar& alpha) {
  return at::cpu::sub_(a, is_one(alpha) ? b : b * alpha);
}

Tensor addcmul(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& value) {
  return x + a * b * value;
}
Tensor& addcmul_in_place(Tensor& x, const Tensor& a, const Tensor& b, const Scalar& value) {
  return x.add_(a * b * value);
}
Tensor addcdiv(const Tensor& x, const Tensor& a, const Tensor& b, const Scalar& value) {
  return x + a / b * value;
}
Tensor& addcdiv_in_place(Tensor& x, const Tensor& a, const Tensor& b, const Scalar& value) {
  return x.add_(a / b * value);
}

Tensor lerp(const Tensor& from, const Tensor& to, const Scalar& weight) {
  return from + (to - from) * weight;
}
Tensor& lerp_in_place(Tensor& from, const Tensor& to, const Scalar& weight) {
  return from.add_((to - from) * weight);
}

}  // namespace

void add_cpu_arithmetic(OperatorTable& table) {
  table.add("add.Tensor", add);
  table.add("add_.Tensor", add_in_place);
  table.add("sub.Tensor", sub);
  table.add("sub_.Tensor", sub_in_place);
}

void add_arithmetic(OperatorTable& table) {
  table.add("addcmul", addcmul);
  table.add("addcmul_", addcmul_in_place);
  table.add("addcdiv", addcdiv);
  table.add("addcdiv_", addcdiv_in_place);
  table.add("lerp.Scalar", lerp);
  table.add("lerp_.Scalar", lerp_in_place);
}

}  // namespace elbo
