#include "elbo/operators/audit.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "elbo/operators/operators.h"

namespace elbo {
namespace {

// Copies, comparisons, selections, and arithmetic that rounds each operation in one way and has one order.
constexpr std::string_view same_on_every_cpu =
    " _index_put_impl_ _local_scalar_dense _reshape_alias _to_copy abs add all amax amin aminmax any"
    " arange argmax argmin as_strided bincount bitwise_and bitwise_not bitwise_or cat ceil clamp"
    " clamp_max clamp_min copy cummax cumsum div empty empty_strided eq equal fill flip floor fmod"
    " gather ge gt hardtanh hardtanh_backward index index_add index_copy index_fill index_select isnan"
    " isneginf isposinf le leaky_relu leaky_relu_backward logical_and logical_not logical_or lt"
    " masked_fill masked_scatter masked_select max maximum mean min minimum mul nan_to_num ne neg"
    " nonzero random reciprocal relu remainder replication_pad2d resize roll round scatter scatter_add"
    " set sgn sign sort sub threshold threshold_backward topk tril triu trunc unfold uniform view where"
    " zero ";

// "aten::add_.Tensor" → "add".
std::string_view base_name(std::string_view name) {
  name.remove_prefix(name.find("::") == std::string_view::npos ? 0 : name.find("::") + 2);
  name = name.substr(0, name.find('.'));
  if (name.ends_with('_') && name != "_index_put_impl_") name.remove_suffix(1);
  return name;
}

bool is_same_on_every_cpu(std::string_view name) {
  return same_on_every_cpu.find(fmt::format(" {} ", base_name(name))) != std::string_view::npos;
}

// Powers that LibTorch computes by products, quotients and roots.
bool is_simple_power(const at::RecordFunction& function) {
  const c10::ArrayRef<const c10::IValue> inputs = function.inputs();
  if (inputs.size() < 2 || !inputs[1].isScalar()) return false;
  const double exponent = inputs[1].toScalar().toDouble();
  constexpr double simple[] = {-2, -1, -0.5, 0, 0.5, 1, 2, 3};
  return std::ranges::find(simple, exponent) != std::end(simple);
}

bool has_real_input(const at::RecordFunction& function) {
  return std::ranges::any_of(function.inputs(), [](const c10::IValue& value) {
    return value.isTensorList() || (value.isTensor() && value.toTensor().defined() &&
                                    at::isFloatingType(value.toTensor().scalar_type()));
  });
}

thread_local std::set<std::string>* seen_by_thread = nullptr;

std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& function) {
  const std::optional<c10::OperatorName> name = function.operator_name();
  if (seen_by_thread == nullptr || !name || !has_real_input(function)) return nullptr;
  std::string full = name->name + (name->overload_name.empty() ? "" : "." + name->overload_name);
  if (base_name(full) != "pow" || !is_simple_power(function)) seen_by_thread->insert(std::move(full));
  return nullptr;
}

// An operator without a kernel for CPUs is made of others, which are seen, too.
bool has_cpu_kernel(const std::string& name) {
  const size_t dot = name.find('.', name.find("::"));
  const c10::OperatorName operator_name(name.substr(0, dot),
                                        dot == std::string::npos ? std::string() : name.substr(dot + 1));
  const std::optional<c10::OperatorHandle> found = c10::Dispatcher::singleton().findSchema(operator_name);
  return found && found->hasKernelForDispatchKey(c10::DispatchKey::CPU);
}

}  // namespace

OperatorAudit::OperatorAudit()
    : callback_(at::addThreadLocalCallback(
          at::RecordFunctionCallback(note).needsInputs(true).scopes({at::RecordScope::FUNCTION}))) {
  seen_by_thread = &seen_;
}

OperatorAudit::~OperatorAudit() {
  seen_by_thread = nullptr;
  at::removeCallback(callback_);
}

std::vector<std::string> OperatorAudit::cpu_dependent() const {
  std::vector<std::string> names;
  for (const std::string& name : seen_)
    if (!is_portable_operator(name) && !is_same_on_every_cpu(name) && has_cpu_kernel(name))
      names.push_back(name);
  return names;
}

}  // namespace elbo
