// The world of MPI ranks, in host memory; tensors on a device travel through it.
#pragma once
#include <torch/types.h>

#include <list>
#include <memory>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/comm/wait.h"

namespace elbo {

// The calls that are under way and all that MPI holds pointers into. What an Error leaves behind stays here:
// MPI may yet write to it. So whoever makes a world keeps this for as long as MPI runs, and nothing but
// ending the job is left to do then.
struct InFlight {
  struct Call {
    const char* name = nullptr;
    std::vector<torch::Tensor> tensors;
    std::shared_ptr<void> communicator;
  };
  std::list<Call> calls;  // in the order of their beginning
};

// Collective over all ranks; MPI has been started.
std::unique_ptr<Communicator> make_mpi_communicator(const RankName& name, double timeout,
                                                    std::shared_ptr<InFlight> in_flight);

}  // namespace elbo
