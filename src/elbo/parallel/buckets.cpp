#include "elbo/parallel/buckets.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

namespace elbo {
Buckets::Buckets(IndexRange range, const std::vector<int64_t>& parameters, std::vector<int> levels,
                 int64_t bytes, bool replicated)
    : range_(range),
      levels_(std::move(levels)),
      ranks_(std::accumulate(levels_.begin(), levels_.end(), 1, std::multiplies<>())),
      replicated_(replicated) {
  const int64_t message_minimum = ranks_ * message_elements;
  const int64_t minimum = std::max(bytes / static_cast<int64_t>(sizeof(float)), message_minimum);
  int64_t end = range.end;
  if (bytes > 0 && ranks_ > 1)
    for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
      // The boundary is the next block: elements before it belong to the next bucket, whose gradients come
      // later.
      const int64_t first = (*parameter + block_elements - 1) / block_elements * block_elements;
      if (end - first < minimum || first - range.first < message_minimum) continue;
      buckets_.push_back({first, end});
      end = first;
    }
  buckets_.push_back({range.first, end});
}

std::pair<size_t, size_t> Buckets::overlapping(IndexRange elements) const {
  const auto is_after = [&](const IndexRange& bucket) { return bucket.first >= elements.end; };
  const auto overlaps = [&](const IndexRange& bucket) { return bucket.end > elements.first; };
  const auto first = std::ranges::find_if_not(buckets_, is_after);
  const auto end = std::find_if_not(first, buckets_.end(), overlaps);
  return {static_cast<size_t>(first - buckets_.begin()), static_cast<size_t>(end - buckets_.begin())};
}

IndexRange Buckets::shard(size_t bucket, int rank) const {
  IndexRange shard = buckets_[bucket];
  if (replicated_) return shard;
  for (const int size : levels_) {
    shard = partition_blocks(shard, rank % size, size);
    rank /= size;
  }
  return shard;
}

std::vector<int64_t> Buckets::shard_sizes(size_t bucket) const {
  std::vector<int64_t> sizes;
  sizes.reserve(static_cast<size_t>(ranks_));
  for (int rank = 0; rank < ranks_; ++rank) sizes.push_back(shard(bucket, rank).size());
  return sizes;
}

double Buckets::early_fraction() const {
  if (count() == 1) return 0;
  return 1 - static_cast<double>(buckets_.back().size()) / static_cast<double>(range_.size());
}

int64_t Buckets::shard_elements(int rank) const {
  int64_t elements = 0;
  for (size_t bucket = 0; bucket < count(); ++bucket) elements += shard(bucket, rank).size();
  return elements;
}

}  // namespace elbo
