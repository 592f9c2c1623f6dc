#include "train/device.h"

#include <ATen/Context.h>
#include <sched.h>
#include <torch/cuda.h>

#include <algorithm>
#include <charconv>
#include <thread>

#include "base/error.h"
#include "comm/cuda_library.h"

namespace elbo {
namespace {

// Cores that this process may run on: under mpirun often fewer than the machine has.
int allowed_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

// A launcher that binds each rank to cores of its own has shared them already; otherwise every rank sees all
// cores.
int cores_of_rank(const Environment& environment) {
  const int allowed = allowed_cores();
  const auto online = static_cast<int>(std::thread::hardware_concurrency());
  const bool bound = allowed < online && allowed * environment.local_size() <= online;
  return std::max(1, bound ? allowed : allowed / environment.local_size());
}

// Of the kernels that a GPU's libraries offer for an operation, those whose sums have one order, and no
// products in less than float32. An operation without such a kernel then fails, and its message says which
// one it was.
void compute_deterministically() {
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true, false);
  context.setDeterministicFillUninitializedMemory(false);  // nobody reads it
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);  // it chooses by time, so by chance
}

}  // namespace

torch::Device choose_device(const TrainOptions& options, const Environment& environment) {
  if (options.device == "cpu") return torch::kCPU;
  std::string why;
  if (!cuda_available(&why)) {
    if (options.device == "cuda")
      usage_error("train.device=cuda: {}; use train.device=cpu, or mend that", why);
    return torch::kCPU;
  }
  load_cuda();
  if (options.exact) compute_deterministically();
  const auto devices = int{static_cast<uint8_t>(torch::cuda::device_count())};
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(environment.local_rank() % devices)};
}

int worker_count(const TrainOptions& options, const Environment& environment, torch::Device device,
                 int64_t leaves_of_rank) {
  if (!device.is_cpu()) return 1;
  int threads = 0;
  if (options.threads == "auto") {
    threads = cores_of_rank(environment);
  } else {
    std::from_chars(options.threads.data(), options.threads.data() + options.threads.size(), threads);
  }
  return static_cast<int>(std::clamp<int64_t>(leaves_of_rank, 1, threads));
}

}  // namespace elbo
