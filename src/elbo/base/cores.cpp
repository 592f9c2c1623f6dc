#include "elbo/base/cores.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "elbo/base/text.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

cpu_set_t affinity_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    for (unsigned core = 0; core < std::thread::hardware_concurrency(); ++core) CPU_SET(core, &set);
  return set;
}

// The first words of a file; "" where there is none.
std::string word_of(std::istream& stream) {
  std::string word;
  stream >> word;
  return word;
}

// Microseconds of CPU time / microseconds; 0 where there is no limit: "max", -1, or no number.
double cores_of_quota(const std::string& quota, const std::string& period) {
  const double time = std::strtod(quota.c_str(), nullptr), per = std::strtod(period.c_str(), nullptr);
  return time > 0 && per > 0 ? time / per : 0;
}

double quota_of(const fs::path& group) {
  std::ifstream version_2(group / "cpu.max"), quota(group / "cpu.cfs_quota_us"),
      period(group / "cpu.cfs_period_us");
  if (!version_2) return cores_of_quota(word_of(quota), word_of(period));
  const std::string time = word_of(version_2);
  return cores_of_quota(time, word_of(version_2));
}

// Lowers the quota to that of the group `path` of the hierarchy mounted at `mount`, and of the groups above.
// In a container the path may be that of the host: groups that are not there are left out, the mount is the
// container's own.
void apply_quotas(const fs::path& mount, const fs::path& path, CoreAllowance& allowance) {
  for (fs::path group = path.relative_path();; group = group.parent_path()) {
    const fs::path folder = mount / group;
    const double quota = quota_of(folder);
    struct stat status = {};
    if (quota > 0 && (allowance.quota == 0 || quota < allowance.quota) &&
        ::stat(folder.c_str(), &status) == 0) {
      allowance.quota = quota;
      allowance.quota_group = status.st_ino;
    }
    if (group.empty()) return;
  }
}

}  // namespace

CoreAllowance core_allowance(const fs::path& root) {
  CoreAllowance allowance{.mask = affinity_mask(), .quota = 0, .quota_group = 0};
  std::ifstream groups(root / "proc/self/cgroup");
  // Lines "number:controllers:path"; version 2 has the number 0 and no controllers.
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path folder = root / "sys/fs/cgroup";
    const std::vector<std::string> names = split(controllers, ',');
    if (controllers.empty()) {
      apply_quotas(folder, line.substr(second + 1), allowance);
    } else if (std::ranges::find(names, "cpu") != names.end()) {
      const bool joined = fs::exists(folder / controllers);
      apply_quotas(folder / (joined ? controllers : "cpu"), line.substr(second + 1), allowance);
    }
  }
  return allowance;
}

int cores_of(const std::vector<CoreAllowance>& ranks, size_t rank) {
  const CoreAllowance& own = ranks[rank];
  double share = 0;
  for (size_t core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &own.mask)) continue;
    share += 1.0 / static_cast<double>(std::ranges::count_if(
                       ranks, [core](const CoreAllowance& other) { return CPU_ISSET(core, &other.mask); }));
  }
  if (own.quota > 0) {
    const auto sharing = std::ranges::count_if(ranks, [&](const CoreAllowance& other) {
      return other.quota > 0 && other.quota_group == own.quota_group;
    });
    share = std::min(share, own.quota / static_cast<double>(sharing));
  }
  return std::max(1, static_cast<int>(share + 1e-9));
}

}  // namespace elbo
