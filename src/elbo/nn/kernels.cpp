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

bool is_for_portable_kernels(const torch::Tensor& x) {
  return in_use == Kernels::portable && x.is_cpu() && x.scalar_type() == torch::kFloat32;
}

}  // namespace elbo
