// A range of indices and its partition among ranks or workers: contiguous and as even as possible.
#pragma once
#include <cstdint>

namespace elbo {

struct IndexRange {
  int64_t first = 0, end = 0;  // first … end-1
  int64_t size() const { return end - first; }
  bool contains(int64_t index) const { return first <= index && index < end; }
  bool overlaps(IndexRange other) const { return first < other.end && other.first < end; }
};

// Part `index` of `parts` parts of a range of n indices: offsets ⌊index·n/parts⌋ … ⌊(index+1)·n/parts⌋ - 1
// from all.first. It may be empty.
constexpr IndexRange partition(IndexRange all, int64_t index, int64_t parts) {
  const int64_t n = all.end - all.first;
  return {all.first + index * n / parts, all.first + (index + 1) * n / parts};
}

}  // namespace elbo
