// Decoded chunks in memory that the ranks of a host share: each is decoded once and kept once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "elbo/data/chunk_cache.h"

namespace elbo {

// Any number of threads of any number of processes at once.
class HostChunks : public std::enable_shared_from_this<HostChunks> {
 public:
  // Of memory for `slots` chunks of at most `chunk_bytes` bytes each.
  static int64_t bytes(int64_t slots, int64_t chunk_bytes);
  // Initialises that memory for all processes: called by one of them, before any other has it. Throws Error.
  static void prepare(void* memory, int64_t slots);

  // The same numbers in every process. `timeout` in seconds limits every wait for another process or thread.
  HostChunks(std::shared_ptr<void> memory, int64_t slots, int64_t chunk_bytes, double timeout);

  // The chunk as it is here, or as `load` reads it for all; none where all slots are in use. Throws Error
  // where another process does not finish loading it in time, or died while it changed the memory.
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
  void forget(int32_t index);
  void give_up(int32_t index) noexcept;
  ChunkCache::Pointer publish(int32_t index, const Chunk& chunk);
  ChunkCache::Pointer pin(int32_t index);

  std::shared_ptr<void> memory_;
  Head* head_;
  int32_t* buckets_;
  Slot* slots_;
  uint8_t* data_;
  int64_t count_, slot_bytes_;
  double timeout_;
  // This process' views of the slots, each with the slot's generation for which it was made.
  std::vector<std::pair<uint64_t, std::unique_ptr<const Chunk>>> views_;
};

}  // namespace elbo
