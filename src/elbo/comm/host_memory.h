// Memory that the ranks of a host share.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "elbo/comm/communicator.h"

namespace elbo {

// Collective. `bytes` of it, at another address in every process; `prepare` is called by one rank of the host
// before any has it. None on every rank where a host cannot give so much (a container's /dev/shm is often
// small). It is gone when the last process of the host is, however that ends.
std::shared_ptr<void> share_host_memory(Communicator& world, int local_rank, int64_t bytes,
                                        const std::function<void(void*)>& prepare);

}  // namespace elbo
