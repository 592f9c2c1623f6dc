// Sums of the bits of a rank's shards and their optimizer states, block by block. Nothing but an update
// changes these values: where a sum differs between the end of an update and the begin of the next, the
// memory is faulty.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace elbo {

// Modulo 2^32: a single bit always changes it.
uint32_t sum_of_bits(const float* values, int64_t n);

class BitSums {
 public:
  // Of `arrays` arrays of `elements` floats each, in whole blocks (block_elements).
  BitSums(size_t arrays, int64_t elements);

  // Forgets the damage that was found. All values have to be recorded again.
  void forget() { damaged_ = -1; }

  // Compares with the sums that were recorded (first those of zeros), and records new ones, of n values in
  // host memory from element `begin` of an array on, in whole blocks. Threads may do so for different blocks.
  void check(size_t array, int64_t begin, const float* values, int64_t n);
  void record(size_t array, int64_t begin, const float* values, int64_t n);

  // The sums of an array's blocks, as they were recorded.
  const uint32_t* sums(size_t array) const { return sums_.data() + array * static_cast<size_t>(blocks_); }
  int64_t blocks() const { return blocks_; }  // of an array

  struct Place {
    size_t array = 0;
    int64_t element = 0;  // the first of the block
  };
  std::optional<Place> damage() const;  // a block that has changed since the last forget()

 private:
  uint32_t& sum_of(size_t array, int64_t block);

  int64_t blocks_;
  std::vector<uint32_t> sums_;        // (arrays, blocks)
  std::atomic<int64_t> damaged_{-1};  // index in sums_
};

}  // namespace elbo
