#include "elbo/nn/kernels.h"

#include <atomic>

#include "elbo/operators/operators.h"

namespace elbo {
namespace {

std::atomic<Kernels> in_use = Kernels::library;

}  // namespace

void use_kernels(Kernels kernels) {
  use_portable_operators(kernels == Kernels::portable);
  in_use = kernels;
}

bool is_for_portable_kernels(const torch::Tensor& x) {
  return in_use == Kernels::portable && x.is_cpu() && x.scalar_type() == torch::kFloat32;
}

}  // namespace elbo
