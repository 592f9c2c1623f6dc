#include "elbo/parallel/buckets.h"

#include <gtest/gtest.h>

namespace elbo {
namespace {

constexpr IndexRange whole_range{5 * block_elements, 1005 * block_elements};

// 1000 parameters, each a little smaller than a block.
std::vector<int64_t> parameters() {
  std::vector<int64_t> offsets;
  for (int64_t offset = whole_range.first; offset < whole_range.end - block_elements;
       offset += block_elements - 16)
    offsets.push_back(offset);
  return offsets;
}

Buckets cut(int ranks, int64_t bytes, bool replicated = false) {
  return {whole_range, parameters(), {ranks}, bytes, replicated};
}

TEST(Buckets, CoverTheRangeOnceFromItsEndAndSoDoTheirShards) {
  for (const int ranks : {1, 2, 3, 7, 64}) {
    for (const int64_t bytes : {0, 1, 300'000, 1 << 20}) {
      const Buckets buckets = cut(ranks, bytes);
      int64_t end = whole_range.end;
      for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
        EXPECT_EQ(buckets[bucket].end, end);
        end = buckets[bucket].first;
        int64_t next = buckets[bucket].first;
        for (int rank = 0; rank < ranks; ++rank) {
          const IndexRange shard = buckets.shard(bucket, rank);
          EXPECT_EQ(shard.first, next);
          EXPECT_EQ(shard.first % block_elements, 0);
          EXPECT_EQ(shard.size(), buckets.shard_sizes(bucket)[static_cast<size_t>(rank)]);
          next = shard.end;
        }
        EXPECT_EQ(next, buckets[bucket].end);
      }
      EXPECT_EQ(end, whole_range.first);
      int64_t elements = 0;
      for (int rank = 0; rank < ranks; ++rank) elements += buckets.shard_elements(rank);
      EXPECT_EQ(elements, whole_range.size());
    }
  }
}

// Three ranks on each of two nodes: local ranks divide a bucket first, then nodes divide their parts.
TEST(Buckets, AreShardedLevelByLevel) {
  const Buckets buckets(whole_range, parameters(), {3, 2}, 300'000, false);
  for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
    int64_t next = buckets[bucket].first;
    for (const int rank : {0, 3, 1, 4, 2, 5}) {
      EXPECT_EQ(buckets.shard(bucket, rank).first, next);
      next = buckets.shard(bucket, rank).end;
    }
    EXPECT_EQ(next, buckets[bucket].end);
  }
}

TEST(Buckets, RespectTheMinimumSizesOfBucketsAndMessages) {
  EXPECT_EQ(cut(2, 0).count(), 1U);
  EXPECT_EQ(cut(1, 1).count(), 1U);        // no communication
  EXPECT_EQ(cut(2, 1 << 20).count(), 4U);  // 4 MB: three of 1 MiB and the rest
  EXPECT_EQ(cut(2, 1).count(), 31U);       // 128 KiB each
  EXPECT_EQ(cut(32, 1).count(), 1U);       // at least 2 MiB each, so two do not fit
  EXPECT_EQ(Buckets({0, block_elements}, {0}, {4}, 1, false).count(), 1U);
}

// Three parameters, a little smaller than 100, 300 and 600 blocks.
TEST(Buckets, BeginWithParameters) {
  const std::vector<int64_t> offsets{whole_range.first, whole_range.first + 100 * block_elements - 16,
                                     whole_range.first + 400 * block_elements - 32};
  const Buckets buckets(whole_range, offsets, {2}, 1000, false);
  ASSERT_EQ(buckets.count(), 3U);
  EXPECT_EQ(buckets[0].first, whole_range.first + 400 * block_elements);
  EXPECT_EQ(buckets[1].first, whole_range.first + 100 * block_elements);
  EXPECT_DOUBLE_EQ(buckets.early_fraction(), 0.9);
  // A parameter that begins within a block is in two buckets.
  EXPECT_EQ(buckets.overlapping({offsets[1], offsets[2]}), std::pair(size_t{1}, size_t{3}));
  EXPECT_EQ(buckets.overlapping({offsets[2], whole_range.end}), std::pair(size_t{0}, size_t{2}));
  EXPECT_EQ(Buckets(whole_range, offsets, {2}, 0, false).early_fraction(), 0);
}

TEST(Buckets, AreWholeOnEveryRankIfReplicated) {
  const Buckets buckets = cut(3, 1 << 20, true);
  for (int rank = 0; rank < 3; ++rank) EXPECT_EQ(buckets.shard_elements(rank), whole_range.size());
}

TEST(Buckets, FindTheBucketsThatOverlapARange) {
  const Buckets buckets = cut(2, 1 << 20);
  const IndexRange last = buckets[0], middle = buckets[1], third = buckets[2];
  const auto overlapping = [&](int64_t begin, int64_t end) { return buckets.overlapping({begin, end}); };
  EXPECT_EQ(overlapping(last.first, last.end), std::pair(size_t{0}, size_t{1}));
  EXPECT_EQ(overlapping(middle.first, middle.first + 1), std::pair(size_t{1}, size_t{2}));
  EXPECT_EQ(overlapping(third.end - 1, third.end), std::pair(size_t{2}, size_t{3}));
  EXPECT_EQ(overlapping(third.end - 1, last.first + 1), std::pair(size_t{0}, size_t{3}));
}

}  // namespace
}  // namespace elbo
