#include "elbo/data/host_chunks.h"

#include <pthread.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <thread>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/waiting_time.h"

namespace elbo {
namespace {

constexpr int64_t alignment = 64;
constexpr size_t max_dimensions = 4;

int64_t aligned(int64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// x, followed by the label at an aligned offset.
int64_t slot_bytes_of(int64_t chunk_bytes) { return aligned(chunk_bytes) + alignment; }

// The type and shape of a tensor, in shared memory. dimensions < 0: the tensor is undefined.
struct Layout {
  int8_t type = 0;
  int8_t dimensions = -1;
  std::array<int64_t, max_dimensions> size{};
};

Layout layout_of(const torch::Tensor& tensor) {
  Layout layout;
  if (!tensor.defined()) return layout;
  layout.type = static_cast<int8_t>(tensor.scalar_type());
  layout.dimensions = static_cast<int8_t>(tensor.dim());
  for (int64_t d = 0; d < tensor.dim(); ++d) layout.size.at(static_cast<size_t>(d)) = tensor.size(d);
  return layout;
}

torch::Tensor view_of(const Layout& layout, uint8_t* data) {
  if (layout.dimensions < 0) return {};
  return torch::from_blob(data, at::IntArrayRef(layout.size.data(), static_cast<size_t>(layout.dimensions)),
                          static_cast<torch::ScalarType>(layout.type));
}

void require(int code, const char* tried) {
  if (code != 0)
    fail("could not {} the memory that the ranks of a host share: {}", tried, std::strerror(code));
}

// A tenth of a second from now.
timespec soon() {
  constexpr int64_t second = 1'000'000'000;
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  time.tv_nsec += second / 10;
  time.tv_sec += time.tv_nsec / second;
  time.tv_nsec %= second;
  return time;
}

int lock_within(pthread_mutex_t& mutex, double timeout) {
  WaitingTime waited;
  for (;;) {
    const timespec limit = soon();
    const int code = ::pthread_mutex_timedlock(&mutex, &limit);
    if (code != ETIMEDOUT || waited.seconds() > timeout) return code;
  }
}

int64_t bytes_of(const torch::Tensor& tensor) {
  return tensor.defined() ? aligned(static_cast<int64_t>(tensor.nbytes())) : 0;
}

static_assert(std::atomic<int32_t>::is_always_lock_free);  // so that processes may share one

}  // namespace

struct HostChunks::Head {
  pthread_mutex_t mutex;
  int32_t hand;  // of the clock algorithm: the next slot to consider for eviction
};

struct HostChunks::Slot {
  enum class State : uint8_t { empty, loading, ready };
  State state;
  bool used;                  // since the hand last passed
  std::atomic<int32_t> pins;  // incremented with the lock, decremented without: that never waits or fails
  int32_t next;               // index of the next slot in the hash bucket
  uint64_t generation;
  ChunkCache::Name name;
  Layout x, label;
};

// The lock that all processes share. If one of them dies while it holds the lock, the memory is unusable, and
// later attempts to lock it fail.
class HostChunks::Lock {
 public:
  Lock(Head& head, double timeout) : head_(head) {
    const int code = lock_within(head_.mutex, timeout);
    if (code == EOWNERDEAD) ::pthread_mutex_unlock(&head_.mutex);  // from now on the code is ENOTRECOVERABLE
    if (code == EOWNERDEAD || code == ENOTRECOVERABLE)
      fail("a rank of this host ended while it changed the memory that the ranks share");
    if (code == ETIMEDOUT)
      fail_hanging("waited {:g} s for the memory that the ranks of this host share; another of them hangs",
                   timeout);
    require(code, "lock");
  }
  ~Lock() { ::pthread_mutex_unlock(&head_.mutex); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Head& head_;
};

int64_t HostChunks::bytes(int64_t slots, int64_t chunk_bytes) {
  return aligned(sizeof(Head)) + aligned(slots * static_cast<int64_t>(sizeof(int32_t))) +
         aligned(slots * static_cast<int64_t>(sizeof(Slot))) + slots * slot_bytes_of(chunk_bytes);
}

HostChunks::HostChunks(std::shared_ptr<void> memory, int64_t slots, int64_t chunk_bytes, double timeout)
    : memory_(std::move(memory)),
      count_(slots),
      slot_bytes_(slot_bytes_of(chunk_bytes)),
      timeout_(timeout),
      views_(static_cast<size_t>(slots)) {
  auto* at = static_cast<uint8_t*>(memory_.get());
  head_ = reinterpret_cast<Head*>(at);
  at += aligned(sizeof(Head));
  buckets_ = reinterpret_cast<int32_t*>(at);
  at += aligned(slots * static_cast<int64_t>(sizeof(int32_t)));
  slots_ = reinterpret_cast<Slot*>(at);
  at += aligned(slots * static_cast<int64_t>(sizeof(Slot)));
  data_ = at;
}

void HostChunks::prepare(void* memory, int64_t slots) {
  auto* at = static_cast<uint8_t*>(memory);
  auto* head = new (at) Head{};
  pthread_mutexattr_t mutex;
  require(::pthread_mutexattr_init(&mutex), "describe a lock");
  require(::pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED),
          "describe a lock of several processes");
  require(::pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST), "describe a robust lock");
  require(::pthread_mutex_init(&head->mutex, &mutex), "make a lock");
  ::pthread_mutexattr_destroy(&mutex);
  at += aligned(sizeof(Head));
  std::fill_n(reinterpret_cast<int32_t*>(at), slots, none);
  at += aligned(slots * static_cast<int64_t>(sizeof(int32_t)));
  for (int64_t i = 0; i < slots; ++i) new (at + i * static_cast<int64_t>(sizeof(Slot))) Slot{};
}

int32_t& HostChunks::bucket(ChunkCache::Name name) {
  const uint64_t mixed =
      static_cast<uint64_t>(name.file) * 0x9e3779b97f4a7c15U + static_cast<uint64_t>(name.chunk);
  return buckets_[mixed % static_cast<uint64_t>(count_)];
}

HostChunks::Slot& HostChunks::slot(int32_t index) { return slots_[index]; }
uint8_t* HostChunks::data(int32_t index) { return data_ + index * slot_bytes_; }

// ---- callers hold the lock ----

int32_t HostChunks::find(ChunkCache::Name name) {
  int32_t index = bucket(name);
  while (index != none && slot(index).name != name) index = slot(index).next;
  return index;
}

void HostChunks::remove(int32_t index) {
  if (slot(index).state == Slot::State::empty) return;
  int32_t* from = &bucket(slot(index).name);
  while (*from != index) from = &slot(*from).next;
  *from = slot(index).next;
  slot(index).state = Slot::State::empty;
}

// Evicts a slot that is neither pinned nor used since the hand last passed, and reserves it for loading the
// chunk.
int32_t HostChunks::claim(ChunkCache::Name name) {
  for (int64_t step = 0; step < 2 * count_; ++step) {
    const int32_t index = head_->hand;
    head_->hand = static_cast<int32_t>((index + 1) % count_);
    Slot& candidate = slot(index);
    if (candidate.pins.load(std::memory_order_acquire) > 0 || candidate.state == Slot::State::loading)
      continue;
    if (candidate.state == Slot::State::ready && std::exchange(candidate.used, false)) continue;
    remove(index);
    candidate.state = Slot::State::loading;
    candidate.name = name;
    candidate.next = std::exchange(bucket(name), index);
    return index;
  }
  return none;
}

ChunkCache::Pointer HostChunks::pin(int32_t index) {
  Slot& here = slot(index);
  ++here.pins;
  here.used = true;
  auto& [generation, view] = views_[static_cast<size_t>(index)];
  if (!view || generation != here.generation) {
    const torch::Tensor x = view_of(here.x, data(index));
    view = std::make_unique<const Chunk>(Chunk{x, view_of(here.label, data(index) + bytes_of(x))});
    generation = here.generation;
  }
  return {view.get(), [self = shared_from_this(), index](const Chunk*) {
            self->slot(index).pins.fetch_sub(1, std::memory_order_release);
          }};
}

// ---- callers do not hold the lock ----

// If this fails, the memory is unusable for all ranks; those that wait for the chunk time out.
// NOLINTNEXTLINE(bugprone-exception-escape): fmt throws for wrong formats only, and this one is a constant
void HostChunks::cancel(int32_t index) noexcept {
  try {
    const Lock lock(*head_, timeout_);
    remove(index);
  } catch (const Error& error) {
    log::warning("{}", error.what());
  }
}

ChunkCache::Pointer HostChunks::publish(int32_t index, const Chunk& chunk) {
  const int64_t x_bytes = bytes_of(chunk.x);
  if (x_bytes + bytes_of(chunk.label) > slot_bytes_)
    fail("a chunk has {} bytes, but its slot only {}", x_bytes + bytes_of(chunk.label), slot_bytes_);
  std::memcpy(data(index), chunk.x.const_data_ptr(), chunk.x.nbytes());
  if (chunk.label.defined())
    std::memcpy(data(index) + x_bytes, chunk.label.const_data_ptr(), chunk.label.nbytes());
  const Lock lock(*head_, timeout_);
  Slot& here = slot(index);
  here.x = layout_of(chunk.x);
  here.label = layout_of(chunk.label);
  here.state = Slot::State::ready;
  ++here.generation;
  return pin(index);
}

ChunkCache::Pointer HostChunks::get(ChunkCache::Name name, const std::function<Chunk()>& load) {
  int32_t mine = none;
  for (WaitingTime waited;;) {
    {
      const Lock lock(*head_, timeout_);
      const int32_t index = find(name);
      if (index == none) {
        mine = claim(name);
        break;
      }
      if (slot(index).state == Slot::State::ready) return pin(index);
    }
    // Another process or thread loads it. That is asked again and again: a condition variable in the memory
    // would hang where a process that waits for it dies.
    if (waited.seconds() > timeout_)
      fail_hanging(
          "waited {:g} s for a chunk of the data that another rank of this host reads; it hangs, or needs "
          "more time",
          timeout_);
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (mine == none) return nullptr;
  try {
    return publish(mine, load());
  } catch (...) {
    cancel(mine);
    throw;
  }
}

}  // namespace elbo
