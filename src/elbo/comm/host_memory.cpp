#include "elbo/comm/host_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <torch/types.h>
#include <unistd.h>

#include <chrono>
#include <string>

namespace elbo {
namespace {

bool agreed(Communicator& world, bool here) {
  torch::Tensor failures = torch::tensor(here ? int64_t{0} : int64_t{1});
  world.all_reduce(failures, ReduceOp::sum);
  return failures.item<int64_t>() == 0;
}

// Null where it cannot be had.
std::shared_ptr<void> map(const std::string& name, bool create, int64_t bytes) {
  const int file = ::shm_open(name.c_str(), create ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0600);
  if (file < 0) return nullptr;
  // All of it now: memory that lacks later ends the process without a word.
  const bool there = !create || ::posix_fallocate(file, 0, bytes) == 0;
  void* address =
      there ? ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
            : MAP_FAILED;
  ::close(file);
  if (address == MAP_FAILED) return nullptr;
  return {address, [bytes](void* memory) { ::munmap(memory, static_cast<size_t>(bytes)); }};
}

}  // namespace

std::shared_ptr<void> share_host_memory(Communicator& world, int local_rank, int64_t bytes,
                                        const std::function<void(void*)>& prepare) {
  const std::string name = broadcast_text(
      world,
      fmt::format("/elbo_{}_{}", ::getpid(), std::chrono::steady_clock::now().time_since_epoch().count()), 0);
  std::shared_ptr<void> memory;
  if (local_rank == 0) {
    memory = map(name, true, bytes);
    if (memory) prepare(memory.get());
  }
  const bool made = agreed(world, local_rank != 0 || memory);
  if (made && local_rank != 0) memory = map(name, false, bytes);
  const bool everywhere = made && agreed(world, memory != nullptr);
  if (local_rank == 0) ::shm_unlink(name.c_str());
  return everywhere ? memory : nullptr;
}

}  // namespace elbo
