// Communicator over NCCL in device memory. NCCL only moves bytes, except in all_reduce, where it adds.
#pragma once
#include <memory>
#include <string>

#include "elbo/comm/communicator.h"
#include "elbo/comm/wait.h"

namespace elbo {

// The functions of CudaFunctions (comm/cuda_library.h). A blocking call returns when its result is on the
// device. start_… returns when NCCL has enqueued the call on the communicator's own stream, after all work
// enqueued on LibTorch's current stream.
std::string make_nccl_id();
std::unique_ptr<Communicator> make_nccl_world(const std::string& id, const RankName& name, int size,
                                              torch::Device device, double timeout);

}  // namespace elbo
