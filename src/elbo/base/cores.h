// The cores that a process may use: its affinity mask (binding, a scheduler's allocation) and the CPU quota
// of its control group (a container's limit).
#pragma once
#include <sched.h>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace elbo {

// Trivially copyable, so that ranks can exchange it.
struct CoreAllowance {
  cpu_set_t mask;
  double quota;          // CPU seconds per second; 0: no limit
  uint64_t quota_group;  // identifies the control group that sets the quota; its processes share the quota
};

// Of this process. The quota is the smallest of its control group and the groups above: cpu.max of version 2,
// cpu.cfs_quota_us and cpu.cfs_period_us of version 1 (Linux, admin-guide/cgroup-v2). Files that are missing
// or cannot be read set no limit. root: the folder that contains proc and sys.
CoreAllowance core_allowance(const std::filesystem::path& root = "/");

// Cores for one of the ranks of a host, at least 1. A core counts as 1/n if the masks of n ranks contain it,
// and a quota is divided among the ranks of its group.
int cores_of(const std::vector<CoreAllowance>& ranks, size_t rank);

}  // namespace elbo
