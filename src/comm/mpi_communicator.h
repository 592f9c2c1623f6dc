// The world of MPI ranks, in host memory; tensors on a device travel through it.
#pragma once
#include <memory>

#include "comm/communicator.h"
#include "comm/wait.h"

namespace elbo {

// Collective over all ranks; MPI has been started. After an Error of the world, nothing but ending the job is
// left to do: MPI may still hold pointers into the tensors of the call that failed.
std::unique_ptr<Communicator> make_mpi_communicator(const RankName& name, double timeout);

}  // namespace elbo
