// Where a rank computes, and with how many threads.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "elbo/comm/environment.h"
#include "elbo/run/config.h"

namespace elbo {

// train.device for this rank: one GPU of the host for each rank, or the CPU. Throws a usage Error
// where a GPU is asked for and none can be used.
torch::Device choose_device(const TrainOptions& options, const Environment& environment);

// A number of threads for this rank; auto shares the cores that the process may run on among the host's
// ranks. A GPU has one.
int thread_count(const std::string& threads, const Environment& environment, torch::Device device);
// The same, but at most the number of microbatches.
int worker_count(const std::string& threads, const Environment& environment, torch::Device device,
                 int64_t local_microbatches);

}  // namespace elbo
