#include "elbo/run/device.h"

#include <ATen/Context.h>
#include <torch/cuda.h>

#include <algorithm>
#include <charconv>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/comm/cuda_library.h"
#include "elbo/nn/kernels.h"

namespace elbo {

namespace {

void use_deterministic_kernels() {
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true, false);
  context.setDeterministicFillUninitializedMemory(false);  // nobody reads it
  context.setDeterministicCuDNN(true);
  context.setBenchmarkCuDNN(false);  // it chooses by time, so by chance
}

}  // namespace

void prepare_device(torch::Device device, const Arithmetic& arithmetic) {
  const bool tf32 = arithmetic.precision == "tf32";
  if (tf32 && device.is_cpu())
    usage_error("train.precision=tf32: is a type of GPUs; use train.precision=float32 on CPUs");
  const Kernels kernels = choose_kernels(arithmetic.kernels, arithmetic.precision, device);
  use_kernels(kernels);
  if (!device.is_cuda()) return;
  if (arithmetic.exact) use_deterministic_kernels();
  at::globalContext().setAllowTF32CuBLAS(tf32);
  at::globalContext().setAllowTF32CuDNN(tf32);
  if (kernels != Kernels::portable) return;
  if (!arithmetic.exact)
    usage_error(
        "train.kernels=portable: has one order of sums, which train.exact=false gives up; use "
        "train.exact=true or train.kernels=library");
  use_portable_kernels_on_gpu(device.index());
}

torch::Device choose_device(const std::string& wanted, const std::string& option,
                            const Environment& environment) {
  if (wanted == "cpu") return torch::kCPU;
  std::string why;
  if (!cuda_available(&why)) {
    if (wanted == "cuda") usage_error("{}=cuda: {}; fix that, or use {}=cpu", option, why, option);
    return torch::kCPU;
  }
  const auto devices = int{static_cast<uint8_t>(torch::cuda::device_count())};
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(environment.local_rank() % devices)};
}

Kernels choose_kernels(const std::string& kernels, const std::string& precision, torch::Device device) {
  const bool is_portable =
      kernels == "portable" || (kernels == "auto" && device.is_cpu() && precision == "float32");
  return is_portable ? Kernels::portable : Kernels::library;
}

std::vector<std::string> devices_of_ranks(Communicator& world, const Environment& environment,
                                          torch::Device device) {
  const std::string own = device.is_cpu() ? "cpu" : environment.host() + " " + load_cuda().pci_bus_id(device);
  return world.size() == 1 ? std::vector{own} : all_gather_text(world, own);
}

bool uses_nccl(const std::string& communication, const std::vector<std::string>& devices) {
  const auto on_cpu = std::ranges::count(devices, "cpu");
  const auto ranks = static_cast<std::ptrdiff_t>(devices.size());
  if (on_cpu != 0 && on_cpu != ranks)
    usage_error(
        "train.device=auto: {} of {} ranks compute on CPUs and the others on GPUs, whose bits differ; use "
        "train.device=cpu, or hosts that all have GPUs",
        on_cpu, ranks);
  if (communication == "mpi" || (communication == "auto" && (ranks == 1 || on_cpu == ranks))) return false;
  for (auto second = devices.begin(); on_cpu == 0 && second != devices.end(); ++second) {
    const auto first = std::find(devices.begin(), second, *second);
    if (first == second) continue;
    const std::string shared = fmt::format("ranks {} and {} compute on one GPU ({})", first - devices.begin(),
                                           second - devices.begin(), *second);
    if (communication == "nccl")
      usage_error(
          "train.communication=nccl: {}, and NCCL takes one rank a GPU; start one rank for each GPU, or use "
          "train.communication=mpi",
          shared);
    log::warning("{}: gradients travel through host memory, as NCCL takes one rank a GPU", shared);
    return false;
  }
  return true;
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
