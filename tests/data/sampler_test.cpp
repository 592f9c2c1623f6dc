#include "elbo/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <vector>

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

// How often each row comes in `epochs` epochs.
std::vector<int64_t> counts(const Sampler& sampler, int64_t epochs) {
  std::vector<int64_t> found(static_cast<size_t>(sampler.rows()));
  for (int64_t position = 0; position < epochs * sampler.rows(); ++position)
    ++found[static_cast<size_t>(sampler.row_at(position))];
  return found;
}

TEST(WeightedSampler, ARowComesAsOftenAsItsShareOfTheWeights) {
  constexpr int64_t rows = 1000, epochs = 400;
  std::vector<double> weights;
  for (int64_t i = 0; i < rows; ++i) weights.push_back(i % 10 == 0 ? 0 : 0.25 + static_cast<double>(i % 7));
  double sum = 0;
  for (const double weight : weights) sum += weight;
  const auto shared = std::make_shared<WeightedRows>(weights);
  for (const int64_t window : {50, 5000}) {
    const Sampler sampler(rows, 10, window, Key(1), true, shared);
    const std::vector<int64_t> once = counts(sampler, 1), all = counts(sampler, epochs);
    for (size_t i = 0; i < weights.size(); ++i) {
      const double expected = weights[i] / sum * rows;
      EXPECT_GE(once[i], static_cast<int64_t>(std::floor(expected))) << i;
      EXPECT_LE(once[i], static_cast<int64_t>(std::ceil(expected))) << i;
      // The mean of independent numbers with a standard deviation of at most a half.
      EXPECT_NEAR(static_cast<double>(all[i]) / epochs, expected, 5 * 0.5 / std::sqrt(epochs)) << i;
      EXPECT_EQ(all[i] == 0, weights[i] == 0) << i;
    }
  }
}

TEST(WeightedSampler, WithEqualWeightsTheOrderIsThatWithoutWeights) {
  for (const int64_t rows : {1, 3, 7, 1009}) {
    const auto weights = std::make_shared<WeightedRows>(std::vector<double>(static_cast<size_t>(rows), 0.1));
    const auto ones = std::make_shared<WeightedRows>(std::vector<double>(static_cast<size_t>(rows), 1));
    EXPECT_EQ(epoch(Sampler(rows, 5, 50, Key(3), true, ones), 2), epoch(Sampler(rows, 5, 50, Key(3)), 2));
    EXPECT_TRUE(is_permutation(epoch(Sampler(rows, 5, 50, Key(3), true, ones), 2)));
    EXPECT_EQ(epoch(Sampler(rows, 5, 50, Key(3), true, weights), 2).size(), static_cast<size_t>(rows));
  }
}

TEST(WeightedSampler, OneRowWithAWeightIsTheOnlyOne) {
  std::vector<double> weights(50, 0);
  weights[17] = 1e-300;
  const Sampler sampler(50, 10, 50, Key(1), true, std::make_shared<WeightedRows>(weights));
  EXPECT_EQ(counts(sampler, 3)[17], 150);
}

TEST(WeightedSampler, AWindowReadsARangeOfTheFile) {
  std::vector<double> weights;
  for (int64_t i = 0; i < 1000; ++i) weights.push_back(1 + static_cast<double>(i % 3));
  const int64_t chunk = 10, window = 40;
  const Sampler sampler(1000, chunk, window, Key(4), true, std::make_shared<WeightedRows>(weights));
  const std::vector<int64_t> rows = epoch(sampler, 0);
  for (size_t first = 0; first < rows.size(); first += window) {
    std::set<int64_t> chunks;
    for (size_t i = first; i < first + window; ++i) chunks.insert(rows[i] / chunk);
    EXPECT_LE(chunks.size(), 8U);  // four ranges of about ten rows, each in at most two chunks
  }
}

}  // namespace
}  // namespace elbo
