// Buffers of bytes that are written before they are read: growing one does not set its bytes to zero.
#pragma once
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace elbo {

template <typename T>
struct Uninitialized : std::allocator<T> {
  template <typename U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;
  }
  template <typename U, typename... Args>
  void construct(U* place, Args&&... args) {
    ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
};

using Bytes = std::vector<uint8_t, Uninitialized<uint8_t>>;

// The calling thread's buffer for the output of a filter, to be exchanged with its input: no chunk needs new
// memory.
inline Bytes& spare_bytes(size_t size) {
  thread_local Bytes spare;
  spare.resize(size);
  return spare;
}

}  // namespace elbo
