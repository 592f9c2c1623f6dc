#include "elbo/nn/kernels.h"

#include <atomic>

#include "elbo/kernels/instruction_set.h"

namespace elbo {
namespace {

std::atomic<Kernels> in_use = Kernels::library;

}  // namespace

void use_kernels(Kernels kernels) {
  if (kernels == Kernels::portable)
    static_cast<void>(instruction_set());  // an error of its environment variable
  in_use = kernels;
}
Kernels kernels_in_use() { return in_use; }

}  // namespace elbo
