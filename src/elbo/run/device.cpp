#include "elbo/run/device.h"

#include <ATen/Context.h>
#include <torch/cuda.h>

#include <algorithm>
#include <charconv>

#include "elbo/base/error.h"
#include "elbo/comm/cuda_library.h"

namespace elbo {
namespace {

// Of the kernels that a GPU's libraries offer for an operation, those whose sums have one order, and no
// products in less than float32. An operation without such a kernel then fails, and its message says which
// one it was.
void compute_deterministically() {
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true, false);
  context.setDeterministicFillUninitializedMemory(false);  // nobody reads it
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);  // it chooses by time, so by chance
  context.setAllowTF32CuBLAS(false);
  context.setAllowTF32CuDNN(false);
}

}  // namespace

torch::Device choose_device(const TrainOptions& options, const Environment& environment) {
  if (options.device == "cpu") return torch::kCPU;
  std::string why;
  if (!cuda_available(&why)) {
    if (options.device == "cuda")
      usage_error("train.device=cuda: {}; fix that, or use train.device=cpu", why);
    return torch::kCPU;
  }
  load_cuda();
  if (options.exact) compute_deterministically();
  const auto devices = int{static_cast<uint8_t>(torch::cuda::device_count())};
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(environment.local_rank() % devices)};
}

int thread_count(const std::string& threads, const Environment& environment, torch::Device device) {
  if (!device.is_cpu()) return 1;
  if (threads == "auto") return environment.cores();
  int number = 0;
  std::from_chars(threads.data(), threads.data() + threads.size(), number);
  return number;
}

int worker_count(const std::string& threads, const Environment& environment, torch::Device device,
                 int64_t local_microbatches) {
  return static_cast<int>(
      std::clamp<int64_t>(local_microbatches, 1, thread_count(threads, environment, device)));
}

}  // namespace elbo
