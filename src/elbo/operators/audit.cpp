#include "elbo/operators/audit.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/record_function.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <mutex>
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

// The same on GPUs, where additions of several numbers to one place have another order, fused
// multiply-adds occur, and random numbers are others.
constexpr std::string_view other_on_gpus =
    " _index_put_impl_ add cumsum div index_add mean random scatter_add sub uniform ";
// Single additions and quotients, which the operators for GPUs call.
constexpr std::string_view exact_on_gpus = " aten::add.out aten::sub.out aten::div.out ";

bool contains_word(std::string_view words, std::string_view word) {
  return words.find(fmt::format(" {} ", word)) != std::string_view::npos;
}

// "aten::add_.Tensor" → "add".
std::string_view base_name(std::string_view name) {
  name.remove_prefix(name.find("::") == std::string_view::npos ? 0 : name.find("::") + 2);
  name = name.substr(0, name.find('.'));
  if (name.ends_with('_') && name != "_index_put_impl_") name.remove_suffix(1);
  return name;
}

bool is_same_everywhere(std::string_view name, bool on_gpu) {
  if (on_gpu && contains_word(exact_on_gpus, name)) return true;
  return contains_word(same_on_every_cpu, base_name(name)) &&
         !(on_gpu && contains_word(other_on_gpus, base_name(name)));
}

// Powers that LibTorch computes by products, quotients and roots.
bool is_simple_power(const at::RecordFunction& function, bool on_gpu) {
  const c10::ArrayRef<const c10::IValue> inputs = function.inputs();
  if (inputs.size() < 2 || !inputs[1].isScalar()) return false;
  const double exponent = inputs[1].toScalar().toDouble();
  constexpr double simple[] = {-2, -1, -0.5, 0, 0.5, 1, 2, 3};
  if (on_gpu && exponent == -0.5) return false;  // by an instruction of limited precision
  return std::ranges::find(simple, exponent) != std::end(simple);
}

bool has_real_input(const at::RecordFunction& function) {
  return std::ranges::any_of(function.inputs(), [](const c10::IValue& value) {
    return value.isTensorList() || (value.isTensor() && value.toTensor().defined() &&
                                    at::isFloatingType(value.toTensor().scalar_type()));
  });
}

// The backward pass on a GPU runs in a thread of LibTorch's, which takes over the callbacks of the caller's.
std::mutex noting;
std::set<std::string>* seen = nullptr;
bool seen_on_gpu = false;

std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& function) {
  const std::optional<c10::OperatorName> name = function.operator_name();
  if (!name || !has_real_input(function)) return nullptr;
  const std::lock_guard lock(noting);
  if (seen == nullptr) return nullptr;
  std::string full = name->name + (name->overload_name.empty() ? "" : "." + name->overload_name);
  if (base_name(full) != "pow" || !is_simple_power(function, seen_on_gpu)) seen->insert(std::move(full));
  return nullptr;
}

// An operator without a kernel for the device is made of others, which are seen, too.
bool has_kernel(const std::string& name, c10::DispatchKey device) {
  const size_t dot = name.find('.', name.find("::"));
  const c10::OperatorName operator_name(name.substr(0, dot),
                                        dot == std::string::npos ? std::string() : name.substr(dot + 1));
  const std::optional<c10::OperatorHandle> found = c10::Dispatcher::singleton().findSchema(operator_name);
  return found && found->hasKernelForDispatchKey(device);
}

}  // namespace

OperatorAudit::OperatorAudit(bool on_gpu)
    : on_gpu_(on_gpu),
      callback_(at::addThreadLocalCallback(
          at::RecordFunctionCallback(note).needsInputs(true).scopes({at::RecordScope::FUNCTION}))) {
  const std::lock_guard lock(noting);
  seen = &seen_;
  seen_on_gpu = on_gpu;
}

OperatorAudit::~OperatorAudit() {
  at::removeCallback(callback_);
  const std::lock_guard lock(noting);
  seen = nullptr;
}

std::vector<std::string> OperatorAudit::device_dependent() const {
  const c10::DispatchKey device = on_gpu_ ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU;
  std::vector<std::string> names;
  const std::lock_guard lock(noting);
  for (const std::string& name : seen_)
    if (!is_portable_operator(name, on_gpu_) && !is_same_everywhere(name, on_gpu_) &&
        has_kernel(name, device))
      names.push_back(name);
  return names;
}

}  // namespace elbo
