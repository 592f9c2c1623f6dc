// An LRU cache of decoded chunks, shared by all files of a split.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace elbo {

// Consecutive rows, decoded.
struct Chunk {
  torch::Tensor x;      // (rows, features) uint8, or float32 for all other types
  torch::Tensor label;  // (rows) or (rows, k); undefined if labels are not cached in chunks
  int64_t bytes() const;
};

class HostChunks;

// Thread-safe.
class ChunkCache {
 public:
  using Pointer = std::shared_ptr<const Chunk>;
  struct Name {
    int64_t file, chunk;  // indices: of the file in the split, of the chunk in the file
    auto operator<=>(const Name&) const = default;
  };

  explicit ChunkCache(int64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // Uses the host's shared memory first, and this cache only if that is full.
  void share(std::shared_ptr<HostChunks> host_chunks) { host_chunks_ = std::move(host_chunks); }

  // Returns the chunk, from memory or from `load`, which is called without the lock.
  Pointer get(Name name, const std::function<Chunk()>& load);

 private:
  struct Entry {
    Name name;
    Pointer chunk;
  };
  Pointer find(Name name);
  Pointer keep(Name name, Pointer loaded);

  std::shared_ptr<HostChunks> host_chunks_;
  int64_t capacity_bytes_;
  std::mutex mutex_;          // guards the members below
  std::list<Entry> entries_;  // most recently used first
  std::map<Name, std::list<Entry>::iterator> positions_;
  int64_t bytes_ = 0;
};

}  // namespace elbo
