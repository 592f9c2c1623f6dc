#include "elbo/run/table_columns.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/random.h"
#include "elbo/comm/self.h"
#include "ranks.h"
#include "rows_in_memory.h"

namespace elbo {
namespace {

constexpr int64_t rows_of_table = 9'000;

torch::Tensor one_hot(int64_t categories, uint64_t seed) {
  RandomGenerator noise(Key{seed});
  const torch::Tensor chosen = (noise.uniform({rows_of_table}) * static_cast<double>(categories)).floor();
  return chosen.to(torch::kInt64).unsqueeze(1).eq(torch::arange(categories)).to(torch::kFloat32);
}

std::string columns_of(const torch::Tensor& x, Communicator& comm) {
  const DataShape shape{.x = {x.size(1)}, .kind = "tabular"};
  return columns_text(look_at_columns(comm, RowsInMemory(x), shape).blocks);
}

TEST(TableColumns, AreFoundFromAllRows) {
  RandomGenerator noise(Key(1));
  const torch::Tensor real = noise.normal({rows_of_table, 2}),
                      binary = (noise.uniform({rows_of_table, 1}) < 0.5).to(torch::kFloat32),
                      count = (-3 * (1 - noise.uniform({rows_of_table, 1})).log()).floor(),
                      grade = (noise.uniform({rows_of_table, 1}) * 5).floor();
  const torch::Tensor x =
      torch::cat({real, binary, one_hot(4, 2), one_hot(2, 3), binary, count, grade}, 1).contiguous();
  const std::string expected =
      "gaussian:2,bernoulli:1,categorical:4,categorical:2,bernoulli:1,count:1,gaussian:1";
  EXPECT_EQ(columns_of(x, world()), expected);
  EXPECT_EQ(columns_of(x, *make_self_communicator()), expected);
}

TEST(TableColumns, ARowWithoutACategoryMakesColumnsOfTheirOwn) {
  for (const int64_t row : {int64_t{0}, rows_of_table / 2, rows_of_table - 1}) {
    torch::Tensor x = one_hot(3, 4);
    EXPECT_EQ(columns_of(x, world()), "categorical:3");
    x[row].zero_();
    EXPECT_EQ(columns_of(x, world()), "bernoulli:3");
    x[row].fill_(1);
    EXPECT_EQ(columns_of(x, world()), "bernoulli:3");
    x[row].fill_(0.5);
    EXPECT_EQ(columns_of(x, world()), "gaussian:3");
  }
}

TEST(TableColumns, MissingValuesSayNothing) {
  RandomGenerator noise(Key(8));
  const torch::Tensor age = (noise.uniform({rows_of_table, 1}) * 50).floor() + 20;
  const torch::Tensor x = torch::cat({age, one_hot(3, 9), age}, 1);
  torch::Tensor observed = noise.uniform({rows_of_table, 5}) < 0.9;
  observed.narrow(0, 0, 100).narrow(1, 1, 3).fill_(false);  // the whole category
  const TableColumns found =
      look_at_columns(world(), RowsInMemory(x * observed, {}, observed), {.x = {5}, .kind = "tabular"});
  EXPECT_EQ(columns_text(found.blocks), "gaussian:1,categorical:3,gaussian:1");
  EXPECT_EQ(found.values[0].lowest, 20);
}

TEST(TableColumns, TakeTheCategoriesThatTheFileNames) {
  // The third category occurs in no row, and the second row has none.
  torch::Tensor x = torch::cat({one_hot(2, 5), torch::zeros({rows_of_table, 1}), one_hot(2, 6)}, 1);
  x[1].zero_();
  const DataShape shape{.x = {5}, .kind = "tabular"};
  const auto columns = [&](const std::string& named) {
    return columns_text(look_at_columns(world(), RowsInMemory(x), shape, named).blocks);
  };
  EXPECT_EQ(columns(""), "bernoulli:5");
  EXPECT_EQ(columns("0:3,3:2"), "categorical:3,categorical:2");
  x[2][4] = 0.5;
  EXPECT_EQ(columns("0:3,3:2"), "categorical:3,bernoulli:1,gaussian:1");
  for (const char* wrong : {"0", "x:3", "0:1", "3:3", "-1:3", "0:"})
    EXPECT_THROW(columns(wrong), Error) << wrong;
}

TEST(TableColumns, StateTheirValues) {
  torch::Tensor x = torch::zeros({rows_of_table, 2});
  x.select(1, 0).copy_(torch::arange(rows_of_table).remainder(7));
  x.select(1, 1).fill_(-2.5);
  const TableColumns found = look_at_columns(world(), RowsInMemory(x), {.x = {2}, .kind = "tabular"});
  EXPECT_EQ(found.values[0].lowest, 0);
  EXPECT_EQ(found.values[0].highest, 6);
  EXPECT_TRUE(found.values[0].whole);
  EXPECT_NEAR(found.values[0].mean, x.select(1, 0).to(torch::kFloat64).mean().item<double>(), 1e-12);
  EXPECT_FALSE(found.values[1].whole);
  EXPECT_TRUE(found.values[1].constant());
}

}  // namespace
}  // namespace elbo
