// A cache of decoded chunks in memory shared by the ranks of a host: each chunk is decoded and stored once
// per host.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "elbo/data/chunk_cache.h"

namespace elbo {

// Safe for concurrent use by threads and processes. Evicts with the clock algorithm.
class HostChunks : public std::enable_shared_from_this<HostChunks> {
 public:
  // The size of the shared memory for `slots` chunks of at most `chunk_bytes` bytes.
  static int64_t bytes(int64_t slots, int64_t chunk_bytes);
  // Initialises memory of that size. Called by one process, before any other uses it. Throws Error.
  static void prepare(void* memory, int64_t slots);

  // slots and chunk_bytes must be the same in every process. timeout: of every wait for another process or
  // thread, seconds.
  HostChunks(std::shared_ptr<void> memory, int64_t slots, int64_t chunk_bytes, double timeout);

  // Returns the chunk, from memory or from `load`, on behalf of all processes. Returns null if all slots are
  // in use. Throws Error if another process does not finish loading it in time, or died while it changed the
  // memory.
  ChunkCache::Pointer get(ChunkCache::Name name, const std::function<Chunk()>& load);

 private:
  struct Head;
  struct Slot;
  class Lock;
  static constexpr int32_t none = -1;

  int32_t& bucket(ChunkCache::Name name);
  Slot& slot(int32_t index);
  uint8_t* data(int32_t index);
  int32_t find(ChunkCache::Name name);
  int32_t claim(ChunkCache::Name name);
  void remove(int32_t index);
  void cancel(int32_t index) noexcept;
  ChunkCache::Pointer publish(int32_t index, const Chunk& chunk);
  ChunkCache::Pointer pin(int32_t index);

  std::shared_ptr<void> memory_;
  Head* head_;
  int32_t* buckets_;
  Slot* slots_;
  uint8_t* data_;
  int64_t count_, slot_bytes_;
  double timeout_;
  // This process's views of the slots, each with the generation of the slot that it belongs to.
  std::vector<std::pair<uint64_t, std::unique_ptr<const Chunk>>> views_;
};

}  // namespace elbo
