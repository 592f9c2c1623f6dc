#include "elbo/operators/operators.h"

#include <c10/util/Exception.h>

#include <memory>

#include "elbo/kernels/instruction_set.h"
#include "elbo/operators/registration.h"

namespace elbo {
namespace {

// LibTorch warns of each kernel that is replaced.
class SilentWarnings : public c10::WarningHandler {
 public:
  void process(const c10::Warning&) override {}
};

std::unique_ptr<OperatorTable>& operators_in_use() {
  static std::unique_ptr<OperatorTable> table;
  return table;
}

}  // namespace

void use_portable_operators(bool on) {
  std::unique_ptr<OperatorTable>& table = operators_in_use();
  if (on == (table != nullptr)) return;
  if (!on) return table.reset();
  static_cast<void>(instruction_set());  // an error of its environment variable
  SilentWarnings silent;
  const c10::WarningUtils::WarningHandlerGuard guard(&silent);
  table = std::make_unique<OperatorTable>();
  for (const auto add : {add_functions, add_activations, add_arithmetic, add_reductions, add_softmax,
                         add_products, add_convolutions, add_embedding, add_draws})
    add(*table);
}

bool is_portable_operator(const std::string& name) {
  return operators_in_use() != nullptr && operators_in_use()->has(name);
}

}  // namespace elbo
