#include "elbo/parallel/buckets.h"

#include <gtest/gtest.h>

namespace elbo {
namespace {

constexpr IndexRange whole_range{5 * block_elements, 1005 * block_elements};

// 1000 parameters of a block less a little, as the arena lays them out.
std::vector<int64_t> parameters() {
  std::vector<int64_t> offsets;
  for (int64_t offset = whole_range.first; offset < whole_range.end - block_elements; offset += block_elements - 16)
    offsets.push_back(offset);
  return offsets;
}

Buckets cut(int ranks, int64_t bytes, bool whole = false) {
  return {whole_range, parameters(), ranks, bytes, whole};
}

TEST(Buckets, CoverTheRangeOnceFromItsEndAndSoDoTheirSlices) {
  for (const int ranks : {1, 2, 3, 7, 64}) {
    for (const int64_t bytes : {0, 1, 300'000, 1 << 20}) {
      const Buckets buckets = cut(ranks, bytes);
      int64_t end = whole_range.end;
      for (size_t bucket = 0; bucket < buckets.count(); ++bucket) {
        EXPECT_EQ(buckets[bucket].end, end);
        end = buckets[bucket].first;
        int64_t next = buckets[bucket].first;
        for (int rank = 0; rank < ranks; ++rank) {
          const IndexRange slice = buckets.slice(bucket, rank);
          EXPECT_EQ(slice.first, next);
          EXPECT_EQ(slice.first % block_elements, 0);
          EXPECT_EQ(slice.size(), buckets.shard_sizes(bucket)[static_cast<size_t>(rank)]);
          next = slice.end;
        }
        EXPECT_EQ(next, buckets[bucket].end);
      }
      EXPECT_EQ(end, whole_range.first);
      int64_t elements = 0;
      for (int rank = 0; rank < ranks; ++rank) elements += buckets.elements_of(rank);
      EXPECT_EQ(elements, whole_range.size());
    }
  }
}

TEST(Buckets, AreAsLargeAsAskedAndAsMessagesNeed) {
  EXPECT_EQ(cut(2, 0).count(), 1U);
  EXPECT_EQ(cut(1, 1).count(), 1U);        // nothing travels
  EXPECT_EQ(cut(2, 1 << 20).count(), 4U);  // 4 MB by 1 MiB, and what is left
  EXPECT_EQ(cut(2, 1).count(), 31U);       // 128 KiB each
  EXPECT_EQ(cut(32, 1).count(), 1U);       // 2 MiB each, and twice that is more than there is
  EXPECT_EQ(Buckets({0, block_elements}, {0}, 4, 1, false).count(), 1U);
}

// Behind three parameters, of 100, 300 and 600 blocks less a little.
TEST(Buckets, BeginWithParameters) {
  const std::vector<int64_t> offsets{whole_range.first, whole_range.first + 100 * block_elements - 16,
                                     whole_range.first + 400 * block_elements - 32};
  const Buckets buckets(whole_range, offsets, 2, 1000, false);
  ASSERT_EQ(buckets.count(), 3U);
  EXPECT_EQ(buckets[0].first, whole_range.first + 400 * block_elements);
  EXPECT_EQ(buckets[1].first, whole_range.first + 100 * block_elements);
  EXPECT_DOUBLE_EQ(buckets.early_share(), 0.9);
  // What they hold, the first blocks of the later ones apart.
  EXPECT_EQ(buckets.holding({offsets[1], offsets[2]}), std::pair(size_t{1}, size_t{3}));
  EXPECT_EQ(buckets.holding({offsets[2], whole_range.end}), std::pair(size_t{0}, size_t{2}));
  EXPECT_EQ(Buckets(whole_range, offsets, 2, 0, false).early_share(), 0);
}

TEST(Buckets, OfALibrarysReductionBelongToEveryRank) {
  const Buckets buckets = cut(3, 1 << 20, true);
  for (int rank = 0; rank < 3; ++rank) EXPECT_EQ(buckets.elements_of(rank), whole_range.size());
}

TEST(Buckets, KnowWhichOfThemHoldAPart) {
  const Buckets buckets = cut(2, 1 << 20);
  const IndexRange last = buckets[0], middle = buckets[1], third = buckets[2];
  const auto holding = [&](int64_t begin, int64_t end) { return buckets.holding({begin, end}); };
  EXPECT_EQ(holding(last.first, last.end), std::pair(size_t{0}, size_t{1}));
  EXPECT_EQ(holding(middle.first, middle.first + 1), std::pair(size_t{1}, size_t{2}));
  EXPECT_EQ(holding(third.end - 1, third.end), std::pair(size_t{2}, size_t{3}));
  EXPECT_EQ(holding(third.end - 1, last.first + 1), std::pair(size_t{0}, size_t{3}));
}

}  // namespace
}  // namespace elbo
