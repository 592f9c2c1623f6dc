// Decoded chunks in memory, shared by all files of a split: the least recently used ones leave.
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

// Consecutive rows, decompressed: bytes as such, all other numbers as float32.
struct Chunk {
  torch::Tensor x,
      label;  // (rows, features), (rows) or (rows, k); label undefined where it is kept elsewhere
  int64_t bytes() const;
};

class HostChunks;

// Any number of threads at once.
class ChunkCache {
 public:
  using Pointer = std::shared_ptr<const Chunk>;
  struct Name {
    int64_t file, chunk;  // which file of the split, which of its chunks
    auto operator<=>(const Name&) const = default;
  };

  explicit ChunkCache(int64_t most_bytes) : most_bytes_(most_bytes) {}

  // From now on chunks are looked for there first, and kept there.
  void share(std::shared_ptr<HostChunks> with_host) { with_host_ = std::move(with_host); }

  // The chunk, from memory or as `load` reads it, which happens outside of the lock.
  Pointer get(Name name, const std::function<Chunk()>& load);

 private:
  struct Entry {
    Name name;
    Pointer chunk;
  };
  Pointer find(Name name);
  Pointer keep(Name name, Pointer loaded);

  std::shared_ptr<HostChunks> with_host_;
  int64_t most_bytes_;
  std::mutex mutex_;          // of what follows
  std::list<Entry> entries_;  // the last used one first
  std::map<Name, std::list<Entry>::iterator> places_;
  int64_t bytes_ = 0;
};

}  // namespace elbo
