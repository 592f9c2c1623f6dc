#include "elbo/parallel/buckets.h"

#include <algorithm>

namespace elbo {
Buckets::Buckets(IndexRange range, const std::vector<int64_t>& parameters, int ranks, int64_t bytes,
                 bool whole)
    : range_(range), ranks_(ranks), whole_(whole) {
  const int64_t sendable = ranks * message_elements;
  const int64_t least = std::max(bytes / static_cast<int64_t>(sizeof(float)), sendable);
  int64_t end = range.end;
  if (bytes > 0 && ranks > 1)
    for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
      // What the parameter has in its first block goes with the next bucket, where it is there as well.
      const int64_t first = (*parameter + block_elements - 1) / block_elements * block_elements;
      if (end - first < least || first - range.first < sendable) continue;
      buckets_.push_back({first, end});
      end = first;
    }
  buckets_.push_back({range.first, end});
}

std::pair<size_t, size_t> Buckets::holding(IndexRange part) const {
  const auto behind = [&](const IndexRange& bucket) { return bucket.first >= part.end; };
  const auto reached = [&](const IndexRange& bucket) { return bucket.end > part.first; };
  const auto first = std::ranges::find_if_not(buckets_, behind);
  const auto end = std::find_if_not(first, buckets_.end(), reached);
  return {static_cast<size_t>(first - buckets_.begin()), static_cast<size_t>(end - buckets_.begin())};
}

IndexRange Buckets::slice(size_t bucket, int rank) const {
  return whole_ ? buckets_[bucket] : block_share(buckets_[bucket], rank, ranks_);
}

std::vector<int64_t> Buckets::shard_sizes(size_t bucket) const {
  std::vector<int64_t> sizes;
  sizes.reserve(static_cast<size_t>(ranks_));
  for (int rank = 0; rank < ranks_; ++rank) sizes.push_back(slice(bucket, rank).size());
  return sizes;
}

double Buckets::early_share() const {
  if (count() == 1) return 0;
  return 1 - static_cast<double>(buckets_.back().size()) / static_cast<double>(range_.size());
}

int64_t Buckets::elements_of(int rank) const {
  int64_t elements = 0;
  for (size_t bucket = 0; bucket < count(); ++bucket) elements += slice(bucket, rank).size();
  return elements;
}

}  // namespace elbo
