// Communicator over MPI in host memory; tensors on a device are staged there.
#pragma once
#include <torch/types.h>

#include <list>
#include <memory>
#include <vector>

#include "elbo/comm/communicator.h"
#include "elbo/comm/wait.h"

namespace elbo {

// The pending calls and everything that MPI holds pointers to. A call that ends in Error stays here, because
// MPI may still write to its memory. So the creator of a communicator keeps this object until MPI is
// finalised, and the job can only be aborted after such an Error.
struct InFlight {
  struct Call {
    const char* name = nullptr;
    std::vector<torch::Tensor> tensors;
    std::shared_ptr<void> communicator;
  };
  std::list<Call> calls;  // in order of start
};

// Of all ranks. timeout: of every wait, seconds. Collective; MPI must be initialised.
std::unique_ptr<Communicator> make_mpi_communicator(const RankName& name, double timeout,
                                                    std::shared_ptr<InFlight> in_flight);

// Of the ranks that name the same `group`, in order of rank. Collective over all ranks, whose communicator
// `world` is.
std::unique_ptr<Communicator> make_mpi_group(Communicator& world, int group, const RankName& name,
                                             double timeout, std::shared_ptr<InFlight> in_flight);

}  // namespace elbo
