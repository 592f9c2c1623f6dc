// Which part of a step belongs to whom. A step has M leaves (microbatches), numbered 0 … M-1; P owners
// (ranks, or the workers of a rank) share a range of them contiguously and as evenly as possible.
#pragma once
#include <cstdint>

namespace elbo {

struct LeafRange {
  int64_t first = 0, end = 0;
  int64_t size() const { return end - first; }
  bool contains(int64_t leaf) const { return first <= leaf && leaf < end; }
};

// The share of owner `index` of `owners`: ⌊index·n/owners⌋ … ⌊(index+1)·n/owners⌋ - 1, perhaps none.
constexpr LeafRange share_of(LeafRange all, int64_t index, int64_t owners) {
  const int64_t n = all.end - all.first;
  return {all.first + index * n / owners, all.first + (index + 1) * n / owners};
}

}  // namespace elbo
