// The world of MPI ranks, in host memory; tensors on a device travel through it.
#pragma once
#include <torch/types.h>

#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "comm/wait.h"

namespace elbo {

// The call that is under way and all that MPI holds pointers into; empty between calls. After an Error of a
// call they stay here: MPI may yet write to them. So whoever makes a world keeps this for as long as MPI
// runs, and nothing but ending the job is left to do then.
struct InFlight {
  const char* call = nullptr;
  std::vector<torch::Tensor> tensors;
  std::shared_ptr<void> communicator;
};

// Collective over all ranks; MPI has been started.
std::unique_ptr<Communicator> make_mpi_communicator(const RankName& name, double timeout,
                                                    std::shared_ptr<InFlight> in_flight);

}  // namespace elbo
