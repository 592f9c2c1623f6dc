#include "elbo/comm/host_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <torch/types.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "elbo/base/host.h"

namespace elbo {
namespace {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  int number_ = -1;
};

// Identifies a rank's memory to the other ranks of its host.
struct Offer {
  int64_t host = 0, process = 0, descriptor = -1;
  int64_t device = 0, inode = 0;  // of the file, to verify that it is the same
};
constexpr int64_t offer_fields = sizeof(Offer) / sizeof(int64_t);

// A file in memory without a name: the kernel frees it when the last process has closed it. Allocates all
// pages now: a page that cannot be allocated on first access kills the process with SIGBUS.
Descriptor make_file(int64_t bytes) {
  Descriptor file(::open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  return file.get() >= 0 && ::posix_fallocate(file.get(), 0, bytes) == 0 ? std::move(file) : Descriptor();
}

// Null if it cannot be mapped.
std::shared_ptr<void> map(const Descriptor& file, int64_t bytes) {
  if (file.get() < 0) return nullptr;
  const auto size = static_cast<size_t>(bytes);
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (address == MAP_FAILED) return nullptr;
  return {address, [size](void* memory) { ::munmap(memory, size); }};
}

Offer offer_of(const Descriptor& file) {
  struct stat about = {};
  if (file.get() < 0 || ::fstat(file.get(), &about) != 0) return {};
  return {.host = static_cast<int64_t>(std::hash<std::string>{}(host_name())),
          .process = ::getpid(),
          .descriptor = file.get(),
          .device = static_cast<int64_t>(about.st_dev),
          .inode = static_cast<int64_t>(about.st_ino)};
}

// Returns no file if the offer is from another host, or from a process that this one cannot see.
Descriptor open_offer(const Offer& offer) {
  Descriptor file(
      ::open(fmt::format("/proc/{}/fd/{}", offer.process, offer.descriptor).c_str(), O_RDWR | O_CLOEXEC));
  const Offer found = offer_of(file);
  const bool same = found.host == offer.host && found.device == offer.device && found.inode == offer.inode;
  return same ? std::move(file) : Descriptor();
}

// The offers of all ranks.
std::vector<Offer> gather(Communicator& world, const Offer& mine) {
  std::vector<Offer> offers(static_cast<size_t>(world.size()));
  offers[static_cast<size_t>(world.rank())] = mine;
  torch::Tensor all = torch::from_blob(offers.data(), {world.size() * offer_fields}, torch::kInt64);
  world.all_gather(all, std::vector(offers.size(), offer_fields));
  return offers;
}

std::shared_ptr<void> take(const std::vector<Offer>& offers, int64_t bytes) {
  for (const Offer& offer : offers)
    if (offer.descriptor >= 0)
      if (std::shared_ptr<void> memory = map(open_offer(offer), bytes)) return memory;
  return nullptr;
}

// Logical and over all ranks.
bool on_all_ranks(Communicator& world, bool mine) {
  torch::Tensor failures = torch::tensor(mine ? int64_t{0} : int64_t{1});
  world.all_reduce(failures, ReduceOp::sum);
  return failures.item<int64_t>() == 0;
}

}  // namespace

std::shared_ptr<void> share_host_memory(Communicator& world, int local_rank, int64_t bytes,
                                        const std::function<void(void*)>& prepare) {
  Descriptor file;  // stays open until all ranks have mapped it
  std::shared_ptr<void> memory;
  if (local_rank == 0) {
    file = make_file(bytes);
    memory = map(file, bytes);
    if (memory) prepare(memory.get());
  }
  const std::vector<Offer> offers = gather(world, memory ? offer_of(file) : Offer());
  if (local_rank != 0) memory = take(offers, bytes);
  return on_all_ranks(world, memory != nullptr) ? memory : nullptr;
}

}  // namespace elbo
