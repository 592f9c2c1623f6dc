#include "elbo/operators/operators.h"

#include <memory>

#include "elbo/base/silent_warnings.h"
#include "elbo/kernels/instruction_set.h"
#include "elbo/operators/registration.h"

namespace elbo {
namespace {

std::unique_ptr<OperatorTable>& operators_in_use() {
  static std::unique_ptr<OperatorTable> table;
  return table;
}
std::unique_ptr<OperatorTable>& gpu_operators_in_use() {
  static std::unique_ptr<OperatorTable> table;
  return table;
}

template <typename... Subjects>
std::unique_ptr<OperatorTable> make_table(c10::DispatchKey key, Subjects... subjects) {
  const SilentWarnings silent;  // LibTorch warns of each kernel that is replaced
  auto table = std::make_unique<OperatorTable>(key);
  for (const auto add : {add_functions, add_activations, add_arithmetic, add_reductions, add_softmax,
                         add_products, add_convolutions, add_embedding, subjects...})
    add(*table);
  return table;
}

}  // namespace

void use_portable_operators(bool on) {
  std::unique_ptr<OperatorTable>& table = operators_in_use();
  if (on == (table != nullptr)) return;
  if (!on) return table.reset();
  static_cast<void>(instruction_set());  // an error of its environment variable
  table = make_table(c10::DispatchKey::CPU, add_cpu_arithmetic, add_draws);
}

void use_portable_gpu_operators() {
  std::unique_ptr<OperatorTable>& table = gpu_operators_in_use();
  if (!table) table = make_table(c10::DispatchKey::CUDA, add_gpu_arithmetic);
}

bool is_portable_operator(const std::string& name, bool on_gpu) {
  const std::unique_ptr<OperatorTable>& table = on_gpu ? gpu_operators_in_use() : operators_in_use();
  return table != nullptr && table->has(name);
}

}  // namespace elbo
