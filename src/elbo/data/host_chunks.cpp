#include "elbo/data/host_chunks.h"

#include <pthread.h>
#include <torch/types.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr int64_t alignment = 64;
constexpr size_t most_dimensions = 4;

int64_t aligned(int64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

// The label begins at an aligned place behind x.
int64_t slot_bytes_of(int64_t chunk_bytes) { return aligned(chunk_bytes) + alignment; }

// A tensor's form, so that other processes can see it; dimensions < 0: there is none.
struct Form {
  int8_t type = 0;
  int8_t dimensions = -1;
  std::array<int64_t, most_dimensions> size{};
};

Form form_of(const torch::Tensor& tensor) {
  Form form;
  if (!tensor.defined()) return form;
  form.type = static_cast<int8_t>(tensor.scalar_type());
  form.dimensions = static_cast<int8_t>(tensor.dim());
  for (int64_t d = 0; d < tensor.dim(); ++d) form.size.at(static_cast<size_t>(d)) = tensor.size(d);
  return form;
}

torch::Tensor view_of(const Form& form, uint8_t* data) {
  if (form.dimensions < 0) return {};
  return torch::from_blob(data, at::IntArrayRef(form.size.data(), static_cast<size_t>(form.dimensions)),
                          static_cast<torch::ScalarType>(form.type));
}

int64_t bytes_of(const torch::Tensor& tensor) {
  return tensor.defined() ? aligned(static_cast<int64_t>(tensor.nbytes())) : 0;
}

}  // namespace

struct HostChunks::Head {
  pthread_mutex_t mutex;
  pthread_cond_t changed;  // a chunk that somebody loads is there, or will not come
  int32_t hand;            // of the clock: which slot is asked next whether it is in use
};

struct HostChunks::Slot {
  enum class State : uint8_t { empty, loading, ready };
  State state;
  bool used;           // since the hand came by
  int32_t pins, next;  // next: in its bucket
  uint64_t generation;
  ChunkCache::Name name;
  Form x, label;
};

// The processes' one lock. A process that dies with it ends the job.
class HostChunks::Lock {
 public:
  explicit Lock(Head& head) : head_(head) {
    if (::pthread_mutex_lock(&head_.mutex) == EOWNERDEAD) {
      ::pthread_mutex_unlock(&head_.mutex);  // from now on nobody gets it
      fail("a rank of this host ended while it held the memory that the ranks share");
    }
  }
  ~Lock() { ::pthread_mutex_unlock(&head_.mutex); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  void wait() { ::pthread_cond_wait(&head_.changed, &head_.mutex); }
  void wake_all() { ::pthread_cond_broadcast(&head_.changed); }

 private:
  Head& head_;
};

int64_t HostChunks::bytes(int64_t slots, int64_t chunk_bytes) {
  return aligned(sizeof(Head)) + aligned(slots * static_cast<int64_t>(sizeof(int32_t))) +
         aligned(slots * static_cast<int64_t>(sizeof(Slot))) + slots * slot_bytes_of(chunk_bytes);
}

HostChunks::HostChunks(std::shared_ptr<void> memory, int64_t slots, int64_t chunk_bytes)
    : memory_(std::move(memory)),
      count_(slots),
      slot_bytes_(slot_bytes_of(chunk_bytes)),
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
  ::pthread_mutexattr_init(&mutex);
  ::pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
  ::pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
  ::pthread_mutex_init(&head->mutex, &mutex);
  ::pthread_mutexattr_destroy(&mutex);
  pthread_condattr_t condition;
  ::pthread_condattr_init(&condition);
  ::pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
  ::pthread_cond_init(&head->changed, &condition);
  ::pthread_condattr_destroy(&condition);
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

// ---- with the lock ----

int32_t HostChunks::find(ChunkCache::Name name) {
  int32_t index = bucket(name);
  while (index != none && slot(index).name != name) index = slot(index).next;
  return index;
}

void HostChunks::forget(int32_t index) {
  if (slot(index).state == Slot::State::empty) return;
  int32_t* from = &bucket(slot(index).name);
  while (*from != index) from = &slot(*from).next;
  *from = slot(index).next;
  slot(index).state = Slot::State::empty;
}

// A slot that nobody uses now, or has used since the hand last came by, for a chunk that is to be loaded.
int32_t HostChunks::claim(ChunkCache::Name name) {
  for (int64_t turn = 0; turn < 2 * count_; ++turn) {
    const int32_t index = head_->hand;
    head_->hand = static_cast<int32_t>((index + 1) % count_);
    Slot& here = slot(index);
    if (here.pins > 0 || here.state == Slot::State::loading) continue;
    if (here.state == Slot::State::ready && std::exchange(here.used, false)) continue;
    forget(index);
    here.state = Slot::State::loading;
    here.name = name;
    here.next = std::exchange(bucket(name), index);
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
  return {view.get(), [self = shared_from_this(), index](const Chunk*) { self->unpin(index); }};
}

// ---- without ----

void HostChunks::unpin(int32_t index) {
  const Lock lock(*head_);
  --slot(index).pins;
}

void HostChunks::give_up(int32_t index) {
  Lock lock(*head_);
  forget(index);
  lock.wake_all();
}

ChunkCache::Pointer HostChunks::all_gather_parameters(int32_t index, const Chunk& chunk) {
  const int64_t x_bytes = bytes_of(chunk.x);
  if (x_bytes + bytes_of(chunk.label) > slot_bytes_)
    fail("a chunk of {} bytes is larger than the {} of its slot", x_bytes + bytes_of(chunk.label),
         slot_bytes_);
  std::memcpy(data(index), chunk.x.const_data_ptr(), chunk.x.nbytes());
  if (chunk.label.defined())
    std::memcpy(data(index) + x_bytes, chunk.label.const_data_ptr(), chunk.label.nbytes());
  Lock lock(*head_);
  Slot& here = slot(index);
  here.x = form_of(chunk.x);
  here.label = form_of(chunk.label);
  here.state = Slot::State::ready;
  ++here.generation;
  lock.wake_all();
  return pin(index);
}

ChunkCache::Pointer HostChunks::get(ChunkCache::Name name, const std::function<Chunk()>& load) {
  int32_t mine = none;
  {
    Lock lock(*head_);
    for (int32_t index = find(name); index != none; index = find(name)) {
      if (slot(index).state == Slot::State::ready) return pin(index);
      lock.wait();
    }
    mine = claim(name);
  }
  if (mine == none) return nullptr;
  try {
    return all_gather_parameters(mine, load());
  } catch (...) {
    give_up(mine);
    throw;
  }
}

}  // namespace elbo
