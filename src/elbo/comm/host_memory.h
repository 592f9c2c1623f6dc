// POSIX shared memory for the ranks of a host.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "elbo/comm/communicator.h"

namespace elbo {

// Allocates `bytes`, mapped at a different address in each process. One rank of the host calls `prepare`
// before any other rank uses them. Returns null on every rank if any host cannot allocate them (a container's
// /dev/shm is often small) or its processes cannot see each other (/proc). The memory has no name: the kernel
// frees it when the last process of the host exits or is killed. Collective.
std::shared_ptr<void> share_host_memory(Communicator& world, int local_rank, int64_t bytes,
                                        const std::function<void(void*)>& prepare);

}  // namespace elbo
