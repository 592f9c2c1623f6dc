#include "elbo/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace elbo {
namespace {

std::vector<int64_t> epoch(const Sampler& sampler, int64_t number) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < sampler.rows(); ++i) rows.push_back(sampler.row_at(number * sampler.rows() + i));
  return rows;
}

bool is_permutation(std::vector<int64_t> rows) {
  std::ranges::sort(rows);
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i] != static_cast<int64_t>(i)) return false;
  return true;
}

TEST(Sampler, EveryEpochHasEveryRowOnceForAllSizesChunksAndWindows) {
  for (const int64_t rows : {1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 97, 127, 128, 129, 1009})
    for (const int64_t chunk : {1, 2, 5, 16, 64, 2000})
      for (const int64_t window : {1, 10, 50, 100, 5000}) {
        const Sampler sampler(rows, chunk, window, Key(3));
        EXPECT_TRUE(is_permutation(epoch(sampler, 0)))
            << rows << " rows, chunks of " << chunk << ", windows of " << window;
        EXPECT_TRUE(is_permutation(epoch(sampler, 5)))
            << rows << " rows, chunks of " << chunk << ", windows of " << window;
      }
}

TEST(Sampler, EpochsAndSeedsDiffer) {
  const Sampler sampler(1000, 10, 5000, Key(1));
  EXPECT_NE(epoch(sampler, 0), epoch(sampler, 1));
  EXPECT_NE(epoch(sampler, 0), epoch(Sampler(1000, 10, 5000, Key(2)), 0));
  EXPECT_EQ(epoch(sampler, 0), epoch(Sampler(1000, 10, 5000, Key(1)), 0));
}

TEST(Sampler, WithoutShufflingRowsAreInTheOrderOfTheFile) {
  const Sampler sampler(10, 4, 4, Key(1), false);
  EXPECT_EQ(sampler.row_at(3), 3);
  EXPECT_EQ(sampler.row_at(13), 3);
}

TEST(Sampler, WithOneWindowTheOrderIsIndependentOfChunks) {
  EXPECT_EQ(epoch(Sampler(100, 7, 100, Key(1)), 2), epoch(Sampler(100, 1, 100, Key(1)), 2));
}

TEST(Sampler, AWindowReadsOnlyItsOwnChunks) {
  const int64_t chunk = 10, window = 40;
  const Sampler sampler(1000, chunk, window, Key(4));
  const std::vector<int64_t> rows = epoch(sampler, 0);
  for (size_t first = 0; first < rows.size(); first += window) {
    std::set<int64_t> chunks;
    for (size_t i = first; i < first + window; ++i) chunks.insert(rows[i] / chunk);
    EXPECT_EQ(chunks.size(), 4U);
  }
}

TEST(Sampler, HasNoRankCorrelation) {
  // The rank correlation of position and row in a random permutation has mean 0 and standard deviation
  // 1/√(n-1).
  const int64_t n = 10000;
  const std::vector<int64_t> rows = epoch(Sampler(n, 100, n, Key(9)), 0);
  double covariance = 0;
  const double middle = static_cast<double>(n - 1) / 2;
  for (int64_t i = 0; i < n; ++i)
    covariance +=
        (static_cast<double>(i) - middle) * (static_cast<double>(rows[static_cast<size_t>(i)]) - middle);
  const double variance = static_cast<double>(n) * (static_cast<double>(n) * static_cast<double>(n) - 1) / 12;
  EXPECT_LT(std::abs(covariance / variance), 0.04);
}

}  // namespace
}  // namespace elbo
