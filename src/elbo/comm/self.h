// Communicator of a single rank, without MPI.
#pragma once
#include <memory>

#include "elbo/comm/communicator.h"

namespace elbo {

std::unique_ptr<Communicator> make_self_communicator();

}  // namespace elbo
