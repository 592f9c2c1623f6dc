#include "elbo/data/chunk_cache.h"

#include <torch/types.h>

#include "elbo/data/host_chunks.h"

namespace elbo {

int64_t Chunk::bytes() const {
  return static_cast<int64_t>(x.nbytes() + (label.defined() ? label.nbytes() : 0));
}

ChunkCache::Pointer ChunkCache::get(Name name, const std::function<Chunk()>& load) {
  if (with_host_)
    if (Pointer shared = with_host_->get(name, load)) return shared;
  if (Pointer here = find(name)) return here;
  return keep(name, std::make_shared<const Chunk>(load()));
}

ChunkCache::Pointer ChunkCache::find(Name name) {
  const std::lock_guard guard(mutex_);
  const auto place = places_.find(name);
  if (place == places_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return place->second->chunk;
}

// Another thread may have been quicker; then its chunk stays.
ChunkCache::Pointer ChunkCache::keep(Name name, Pointer loaded) {
  const std::lock_guard guard(mutex_);
  if (const auto place = places_.find(name); place != places_.end()) return place->second->chunk;
  bytes_ += loaded->bytes();
  while (!entries_.empty() && bytes_ > most_bytes_) {
    bytes_ -= entries_.back().chunk->bytes();
    places_.erase(entries_.back().name);
    entries_.pop_back();
  }
  entries_.push_front({name, loaded});
  places_[name] = entries_.begin();
  return loaded;
}

}  // namespace elbo
