#include "elbo/data/chunk_cache.h"

#include <torch/types.h>

#include "elbo/data/host_chunks.h"

namespace elbo {

int64_t Chunk::bytes() const {
  return static_cast<int64_t>(x.nbytes() + (label.defined() ? label.nbytes() : 0));
}

ChunkCache::Pointer ChunkCache::get(Name name, const std::function<Chunk()>& load) {
  if (host_chunks_)
    if (Pointer shared = host_chunks_->get(name, load)) return shared;
  if (Pointer cached = find(name)) return cached;
  return keep(name, std::make_shared<const Chunk>(load()));
}

ChunkCache::Pointer ChunkCache::find(Name name) {
  const std::lock_guard guard(mutex_);
  const auto position = positions_.find(name);
  if (position == positions_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, position->second);
  return position->second->chunk;
}

// If another thread has loaded the same chunk meanwhile, keeps that one.
ChunkCache::Pointer ChunkCache::keep(Name name, Pointer loaded) {
  const std::lock_guard guard(mutex_);
  if (const auto position = positions_.find(name); position != positions_.end())
    return position->second->chunk;
  bytes_ += loaded->bytes();
  while (!entries_.empty() && bytes_ > capacity_bytes_) {
    bytes_ -= entries_.back().chunk->bytes();
    positions_.erase(entries_.back().name);
    entries_.pop_back();
  }
  entries_.push_front({name, loaded});
  positions_[name] = entries_.begin();
  return loaded;
}

}  // namespace elbo
