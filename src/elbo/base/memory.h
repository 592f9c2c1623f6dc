// How much memory this process can still allocate.
#pragma once
#include <cstdint>

namespace elbo {

// Available bytes: the smaller of the host's and those of this process's control group (of a container or a
// Slurm job). 1 GiB if neither is known.
int64_t free_memory();

}  // namespace elbo
