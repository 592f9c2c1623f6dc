// The world of NCCL, in device memory. NCCL moves bytes; only all_reduce lets it add.
#pragma once
#include <memory>
#include <string>

#include "elbo/comm/communicator.h"
#include "elbo/comm/wait.h"

namespace elbo {

// What a table of CudaFunctions offers (comm/cuda_library.h). A call returns when its result is on the
// device; one that is begun (start_…) when NCCL has taken it on, and the device works on it in a stream of
// the world's own, behind what LibTorch's current stream held.
std::string make_nccl_id();
std::unique_ptr<Communicator> make_nccl_world(const std::string& id, const RankName& name, int size,
                                              torch::Device device, double timeout);

}  // namespace elbo
