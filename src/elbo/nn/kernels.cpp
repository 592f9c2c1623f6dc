#include "elbo/nn/kernels.h"

#include <atomic>

#include "elbo/base/random.h"
#include "elbo/operators/compute.h"
#include "elbo/operators/operators.h"

namespace elbo {
namespace {

std::atomic<Kernels> in_use = Kernels::library;

}  // namespace

void use_kernels(Kernels kernels) {
  use_portable_operators(kernels == Kernels::portable);
  in_use = kernels;
}

void use_portable_kernels_on_gpu(torch::DeviceIndex device) {
  gpu::start(device);
  use_portable_gpu_operators();
  RandomGenerator::draw_on_host();
}

bool is_for_portable_kernels(const torch::Tensor& x) {
  return in_use == Kernels::portable && (x.is_cpu() || on_gpu(x)) && x.scalar_type() == torch::kFloat32;
}

}  // namespace elbo
