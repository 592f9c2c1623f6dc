// Partition of a phase's gradients into buckets, as in PyTorch DDP (Li et al. 2020): the first bucket is
// reduced while the backward pass still computes the gradients of the others. Every bucket is sharded among
// all ranks, level by level (levels.h).
//
// The backward pass visits a model's parameters from last to first, so bucket 0 is at the end of the range. A
// bucket begins with a parameter, so that it does not wait for gradients of the next bucket.
#pragma once
#include <cstdint>
#include <vector>

#include "elbo/parallel/flat_parameters.h"

namespace elbo {

class Buckets {
 public:
  // Smallest useful message between two ranks, in float32 elements: below it, latency dominates on most
  // networks.
  static constexpr int64_t message_elements = int64_t{16} * 1024;

  // parameters: offsets of the phase's parameters, ascending. levels: ranks on each level, innermost first.
  // bytes: minimum size of a bucket (0: a single bucket); a bucket is also large enough for messages of
  // message_elements to every rank. Only the last one may be smaller. replicated: every rank's shard is the
  // whole bucket (all-reduce instead of reduce-scatter).
  Buckets(IndexRange range, const std::vector<int64_t>& parameters, std::vector<int> levels, int64_t bytes,
          bool replicated);

  bool replicated() const { return replicated_; }
  size_t count() const { return buckets_.size(); }
  IndexRange range() const { return range_; }
  IndexRange operator[](size_t bucket) const { return buckets_[bucket]; }
  // The buckets that overlap `elements`: [first, end).
  std::pair<size_t, size_t> overlapping(IndexRange elements) const;

  IndexRange shard(size_t bucket, int rank) const;        // whole blocks; may be empty
  std::vector<int64_t> shard_sizes(size_t bucket) const;  // (ranks), in elements
  int64_t shard_elements(int rank) const;                 // a rank's shards of all buckets together
  // The fraction of the range in early buckets: all but the last, whose reduction can overlap the backward
  // pass.
  double early_fraction() const;

 private:
  IndexRange range_;
  std::vector<int> levels_;
  int ranks_;
  bool replicated_;
  std::vector<IndexRange> buckets_;
};

}  // namespace elbo
