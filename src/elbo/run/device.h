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

// From now on the process computes on GPUs with kernels whose sums have one order, and without products in
// less than float32. An operation that has no such kernel throws.
void use_deterministic_kernels();

// Whose kernels compute in a run with these values of train.kernels and train.precision on `device`. auto:
// portable on CPUs in float32. Throws a usage Error for portable on another device.
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
