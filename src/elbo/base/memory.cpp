#include "elbo/base/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace elbo {
namespace {

constexpr int64_t unknown = std::numeric_limits<int64_t>::max();

std::optional<int64_t> number_in(const std::string& path) {
  int64_t value = 0;
  if (std::ifstream(path) >> value) return value;
  return std::nullopt;  // no such file, or "max"
}

int64_t free_in_machine() {
  std::ifstream table("/proc/meminfo");
  std::string key;
  int64_t kibibytes = 0;
  while (table >> key >> kibibytes) {
    if (key == "MemAvailable:") return kibibytes * 1024;
    table.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return unknown;
}

// The tightest limit of the group and its parents. The kernel counts the page cache as used; `cache` names
// the part of it that can be reclaimed.
int64_t free_in_group(const std::string& root, std::string group, const std::string& limit,
                      const std::string& used, const std::string& cache) {
  int64_t free = unknown;
  while (true) {
    const std::string folder = root + group + "/";
    if (const auto bytes_limit = number_in(folder + limit)) {
      int64_t reclaimable = 0;
      std::ifstream table(folder + "memory.stat");
      std::string key;
      for (int64_t bytes = 0; table >> key >> bytes;)
        if (key == cache) reclaimable = bytes;
      free = std::min(free, *bytes_limit - number_in(folder + used).value_or(0) + reclaimable);
    }
    if (group.empty()) return free;
    group.resize(group.find_last_of('/'));
  }
}

int64_t free_in_groups() {
  int64_t free = unknown;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // number:controllers:/path
    const size_t second = line.find(':', line.find(':') + 1);
    if (second == std::string::npos) continue;
    std::string group = line.substr(second + 1);
    if (group == "/") group.clear();
    if (line.starts_with("0::"))
      free = std::min(
          free, free_in_group("/sys/fs/cgroup", group, "memory.max", "memory.current", "inactive_file"));
    if (line.find(":memory:") != std::string::npos)
      free = std::min(free, free_in_group("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes",
                                          "memory.usage_in_bytes", "total_inactive_file"));
  }
  return free;
}

}  // namespace

int64_t free_memory() {
  const int64_t free = std::min(free_in_machine(), free_in_groups());
  return free == unknown ? int64_t{1024} * 1024 * 1024 : std::max<int64_t>(free, 0);
}

}  // namespace elbo
