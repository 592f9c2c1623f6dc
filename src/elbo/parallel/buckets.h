// How a phase's range of the arena travels: in buckets, each of which is shared by all ranks, so that the
// first can be on its way while gradients of the others are still computed. The backward pass meets a model's
// last parameters first, and so do buckets: they go from the end of the range to its beginning, and each
// begins with a parameter, so that none waits for the next one's gradients.
#pragma once
#include <cstdint>
#include <vector>

#include "elbo/parallel/flat_parameters.h"

namespace elbo {

class Buckets {
 public:
  // Of a message between two ranks, below which its latency weighs more than its bytes on most networks.
  static constexpr int64_t message_elements = int64_t{16} * 1024;

  // parameters: where the phase's begin, in ascending order. `bytes` of each bucket at least, and enough for
  // every rank's messages to be worth sending; only the last may be smaller. 0: one bucket. whole: every rank
  // owns all of every bucket.
  Buckets(IndexRange range, const std::vector<int64_t>& parameters, int ranks, int64_t bytes, bool whole);

  size_t count() const { return buckets_.size(); }
  IndexRange range() const { return range_; }
  IndexRange operator[](size_t bucket) const { return buckets_[bucket]; }
  // The buckets that hold elements of `part`, as the first and the one behind the last.
  std::pair<size_t, size_t> holding(IndexRange part) const;

  IndexRange slice(size_t bucket, int rank) const;      // that a rank owns: whole blocks
  std::vector<int64_t> shard_sizes(size_t bucket) const;  // of each rank
  // The share of the range that is on its way before the last bucket is.
  double early_share() const;
  int64_t elements_of(int rank) const;  // in all slices of a rank

 private:
  IndexRange range_;
  int ranks_;
  bool whole_;
  std::vector<IndexRange> buckets_;
};

}  // namespace elbo
