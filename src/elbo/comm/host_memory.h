// Memory that the ranks of a host share.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "elbo/comm/communicator.h"

namespace elbo {

// Collective. `bytes` of it, at another address in every process; `prepare` is called by one rank of the host
// before any other has it. None on every rank where a host does not have that much (a container's /dev/shm is
// often small), or where its processes do not see one another (/proc). It has no name: it is gone when the
// last process of the host is, however and whenever that ends.
std::shared_ptr<void> share_host_memory(Communicator& world, int local_rank, int64_t bytes,
                                        const std::function<void(void*)>& prepare);

}  // namespace elbo
