#include <gtest/gtest.h>
#include <torch/types.h>

#include "elbo/base/random.h"
#include "elbo/comm/self.h"
#include "elbo/run/fit_transform.h"
#include "elbo/run/observed_columns.h"
#include "elbo/run/row_pass.h"
#include "ranks.h"
#include "rows_in_memory.h"

namespace elbo {
namespace {

// Columns of very different sizes, the last one constant.
torch::Tensor table() {
  RandomGenerator noise(Key(3));
  const torch::Tensor scale = torch::tensor({1e-3F, 1.0F, 4e3F, 0.0F}),
                      shift = torch::tensor({0.0F, -7.0F, 1e4F, 5.0F});
  return noise.normal({20'001, 4}) * scale + shift;
}

void expect_close(const torch::Tensor& found, const torch::Tensor& expected) {
  EXPECT_TRUE(torch::allclose(found.to(torch::kFloat64), expected, 1e-6, 1e-9)) << found << expected;
}

TEST(Normalization, IsFittedToAllRowsWithTheSameBitsForEveryNumberOfRanks) {
  const torch::Tensor x = table(), exact = x.to(torch::kFloat64);
  const RowsInMemory rows(x);
  const DataShape shape{.x = {4}, .kind = "tabular"};
  const std::unique_ptr<Communicator> alone = make_self_communicator();
  for (const std::string kind : {"unit", "standardize", "robust"}) {
    const Transform all = fit_transform(world(), rows, shape, kind),
                    own = fit_transform(*alone, rows, shape, kind);
    EXPECT_TRUE(torch::equal(all.shift, own.shift)) << kind;
    EXPECT_TRUE(torch::equal(all.scale, own.scale)) << kind;
    if (kind == "unit") {
      expect_close(all.shift, exact.min().view({1}));
      expect_close(all.scale, (exact.max() - exact.min()).view({1}));
    } else if (kind == "standardize") {
      const torch::Tensor deviation = exact.std(0, /*unbiased=*/false);
      expect_close(all.shift, exact.mean(0));
      expect_close(all.scale, torch::where(deviation.gt(0), deviation, torch::ones_like(deviation)));
    } else {
      const torch::Tensor sorted = std::get<0>(exact.sort(0));
      const torch::Tensor spread = (sorted[15'000] - sorted[5'000]) / 1.3489795;
      expect_close(all.shift, sorted[10'000]);
      expect_close(all.scale, torch::where(spread.gt(0), spread, torch::ones_like(spread)));
    }
  }
}

TEST(Normalization, LeavesPaddingOut) {
  RandomGenerator noise(Key(4));
  torch::Tensor x = noise.normal({500, 6, 2}) * 3 + 20;
  const torch::Tensor length = torch::arange(500, torch::kInt64).remainder(7);
  const torch::Tensor padded =
      torch::arange(6).unsqueeze(0).ge(length.unsqueeze(1)).unsqueeze(2).expand_as(x);
  x.masked_fill_(padded, 1e6);
  const torch::Tensor kept = x.to(torch::kFloat64).masked_select(padded.logical_not()).view({-1, 2});
  const Transform found =
      fit_transform(world(), RowsInMemory(x, length), {.x = {6, 2}, .kind = "sequence"}, "standardize");
  expect_close(found.shift, kept.mean(0));
  expect_close(found.scale, kept.std(0, /*unbiased=*/false));
}

TEST(RowPass, FindsTheLargestValueWhicheverRankReadsIt) {
  torch::Tensor x = torch::zeros({10'000, 3});
  for (const int64_t row : {0, 4'095, 9'999}) {
    x.zero_();
    x[row][1] = 7;
    EXPECT_EQ(largest_value(world(), RowsInMemory(x), 3, 254), 7);
  }
  EXPECT_EQ(largest_value(world(), RowsInMemory(x.sub(20)), 3, 254), -13);
  EXPECT_GT(largest_value(world(), RowsInMemory(x), 3, 1), 1);  // stops early
}

TEST(Normalization, LeavesMissingValuesOut) {
  RandomGenerator noise(Key(5));
  const torch::Tensor stored = table() + 3;
  const torch::Tensor observed = noise.uniform(stored.sizes()) < torch::tensor({0.9F, 0.5F, 0.2F, 0.01F});
  const RowsInMemory rows(stored * observed, {}, observed);
  const DataShape shape{.x = {4}, .kind = "tabular", .masked = true};
  const std::unique_ptr<Communicator> alone = make_self_communicator();
  for (const std::string kind : {"unit", "standardize", "robust"}) {
    const Transform all = fit_transform(world(), rows, shape, kind),
                    own = fit_transform(*alone, rows, shape, kind);
    EXPECT_TRUE(torch::equal(all.shift, own.shift)) << kind;
    EXPECT_TRUE(torch::equal(all.scale, own.scale)) << kind;
    const torch::Tensor exact = stored.to(torch::kFloat64);
    if (kind == "unit") expect_close(all.shift, exact.masked_select(observed).min().view({1}));
    for (int64_t column = 0; column < 3 && kind != "unit"; ++column) {
      const torch::Tensor values = exact.select(1, column).masked_select(observed.select(1, column));
      const torch::Tensor sorted = std::get<0>(values.sort());
      const int64_t last = values.size(0) - 1;
      const bool robust = kind == "robust";
      expect_close(all.shift[column], robust ? sorted[last / 2] : values.mean());
      expect_close(all.scale[column], robust ? (sorted[last * 3 / 4] - sorted[last / 4]) / 1.3489795
                                             : values.std(/*unbiased=*/false));
    }
  }
}

TEST(ObservedColumns, AreCountedOverAllRanks) {
  RandomGenerator noise(Key(6));
  const torch::Tensor observed = noise.uniform({5'003, 3}) < torch::tensor({0.7F, 1.0F, 0.1F});
  const std::vector<ColumnCount> found = count_missing(
      world(), RowsInMemory(torch::zeros({5'003, 3}), {}, observed), {.x = {3}, .kind = "tabular"});
  const torch::Tensor expected = observed.logical_not().sum(0);
  ASSERT_EQ(found.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].values, 5'003);
    EXPECT_EQ(found[i].missing, expected[static_cast<int64_t>(i)].item<int64_t>());
  }
  EXPECT_EQ(found[1].missing, 0);
}

}  // namespace
}  // namespace elbo
