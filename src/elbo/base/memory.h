// How much memory this process may still take.
#pragma once
#include <cstdint>

namespace elbo {

// Bytes that the machine has free, or the control group that the process belongs to (a container's, a Slurm
// job's), whichever is less; 1 GiB where neither is known.
int64_t free_memory();

}  // namespace elbo
