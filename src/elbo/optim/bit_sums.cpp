#include "elbo/optim/bit_sums.h"

#include <cstring>

#include "elbo/base/vectorize.h"
#include "elbo/parallel/flat_parameters.h"

namespace elbo {

ELBO_VECTORIZE uint32_t sum_of_bits(const float* values, int64_t n) {
  uint32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t bits = 0;
    std::memcpy(&bits, values + i, sizeof bits);
    sum += bits;
  }
  return sum;
}

BitSums::BitSums(size_t arrays, int64_t elements)
    : blocks_(elements / block_elements), sums_(arrays * static_cast<size_t>(blocks_)) {}

uint32_t& BitSums::sum_of(size_t array, int64_t block) {
  return sums_[array * static_cast<size_t>(blocks_) + static_cast<size_t>(block)];
}

void BitSums::check(size_t array, int64_t begin, const float* values, int64_t n) {
  for (int64_t at = 0; at < n; at += block_elements) {
    const uint32_t& sum = sum_of(array, (begin + at) / block_elements);
    if (sum != sum_of_bits(values + at, block_elements)) damaged_ = &sum - sums_.data();
  }
}

void BitSums::record(size_t array, int64_t begin, const float* values, int64_t n) {
  for (int64_t at = 0; at < n; at += block_elements)
    sum_of(array, (begin + at) / block_elements) = sum_of_bits(values + at, block_elements);
}

std::optional<BitSums::Place> BitSums::damage() const {
  if (damaged_ < 0) return std::nullopt;
  return Place{static_cast<size_t>(damaged_ / blocks_), damaged_ % blocks_ * block_elements};
}

}  // namespace elbo
