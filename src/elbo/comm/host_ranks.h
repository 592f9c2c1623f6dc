// The ranks of this job on this host, as /proc shows them. Where MPI has not started, nothing else knows
// them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/flight_recorder.h"

namespace elbo {

// The rank that mpirun or srun sets in the environment. A process that neither started with MPI has none, not
// even in a Slurm batch script.
std::optional<int> launched_rank();

// Other ranks of this job on this host that do not run: stopped, ended, or waiting for a disk. `host`: its
// name. Without PMIx, which names the job, those of the same parent process.
std::vector<RankState> stuck_ranks(const std::string& host);

}  // namespace elbo
