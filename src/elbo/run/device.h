// Where a rank computes, and with how many threads.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/comm/environment.h"
#include "elbo/nn/kernels.h"

namespace elbo {

// The device that `option` (train.device, --device) asks for by `wanted`: auto, cpu or cuda. For this rank:
// the GPU with its number on the host, or the CPU. auto: a GPU where there is one. Throws a usage Error where
// a GPU is asked for and none can be used.
torch::Device choose_device(const std::string& wanted, const std::string& option,
                            const Environment& environment);

// How a process computes: values of train.exact, train.kernels and train.precision.
struct Arithmetic {
  bool exact = true;
  std::string kernels = "auto", precision = "float32";
};

// From now on the process computes on the device in this way. On a GPU, exact: with kernels whose sums have
// one order; an operation that has no such kernel throws. portable: by elbo's own kernels, with the bits of
// CPUs. tf32: with tensor cores; else products of float32 are not rounded. Throws a usage Error for portable
// kernels that are not exact, and for tf32 on a CPU.
void prepare_device(torch::Device device, const Arithmetic& arithmetic);

// Whose kernels compute in a run with these values of train.kernels and train.precision on `device`. auto:
// portable on CPUs in float32.
Kernels choose_kernels(const std::string& kernels, const std::string& precision, torch::Device device);

// What each rank computes on, in order of rank: "cpu", or the host and the GPU's place in it. Collective.
std::vector<std::string> devices_of_ranks(Communicator& world, const Environment& environment,
                                          torch::Device device);

// Whether ranks on these devices exchange gradients by NCCL, as `communication`, the value of
// train.communication, says: auto, mpi or nccl. auto: where there are several ranks and each has its own GPU.
// Throws a usage Error for nccl where two ranks have one GPU, which NCCL does not support, and for
// devices of both kinds, whose bits would differ.
bool uses_nccl(const std::string& communication, const std::vector<std::string>& devices);

// A number of threads for this rank; auto shares the cores that the process may run on among the host's
// ranks. A GPU has one.
int thread_count(const std::string& threads, const Environment& environment, torch::Device device);
// The same, but at most the number of microbatches.
int worker_count(const std::string& threads, const Environment& environment, torch::Device device,
                 int64_t local_microbatches);

}  // namespace elbo
