#include "elbo/data/sparse_rows.h"

#include <gmock/gmock.h>

#include "data_test.h"

namespace elbo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SparseRowsTest : public DataTest {
 protected:
  // Writes 500 rows of 40 columns, a tenth of them nonzero, some rows empty. Returns the dense rows.
  torch::Tensor make_sparse(const std::string& name, bool values, int64_t chunk_rows) {
    torch::manual_seed(1);
    torch::Tensor dense = torch::rand({500, 40});
    dense =
        torch::where(dense < 0.1, values ? dense * 50 : torch::ones_like(dense), torch::zeros_like(dense));
    dense.narrow(0, 100, 20).zero_();
    const torch::Tensor indices = dense.nonzero();
    const torch::Tensor counts = dense.ne(0).sum(1);
    const torch::Tensor offsets = torch::cat({torch::zeros({1}, torch::kInt64), counts.cumsum(0)});
    std::vector<std::pair<std::string, torch::Tensor>> tensors{
        {"/train/indices", indices.select(1, 1).contiguous()}, {"/train/offsets", offsets}};
    if (values) tensors.emplace_back("/train/values", dense.masked_select(dense.ne(0)));
    make(name, tensors, "interactions", chunk_rows);
    return dense;
  }
};

TEST_F(SparseRowsTest, RowsRoundTrip) {
  for (const bool values : {false, true})
    for (const int64_t chunk_rows : {0, 64}) {
      const std::string name = fmt::format("{}{}.h5", values, chunk_rows);
      const torch::Tensor dense = make_sparse(name, values, chunk_rows);
      const Dataset dataset(options(path(name)));
      const RowSource& rows = dataset.split("train");
      ASSERT_EQ(rows.rows(), 500);
      EXPECT_EQ(dataset.shape().kind, "interactions");
      EXPECT_EQ(dataset.shape().x, std::vector<int64_t>{40});
      EXPECT_LT(rows.bytes_per_row(), 40 * 4);
      const std::vector<int64_t> ids{499, 0, 110, 7, 7, 250};
      EXPECT_TRUE(torch::equal(rows.read(ids).x, dense.index_select(0, torch::tensor(ids))));
      rows.read_all();
    }
}

TEST_F(SparseRowsTest, InconsistentDatasetsAreRejected) {
  const torch::Tensor indices = torch::tensor({0, 3, 1}, torch::kInt64);
  const auto error_for = [&](const char* name, const torch::Tensor& offsets, const torch::Tensor& values) {
    return error_of(options(
        make(name, {{"/train/indices", indices}, {"/train/offsets", offsets}, {"/train/values", values}})));
  };
  const torch::Tensor good = torch::tensor({0, 2, 3}, torch::kInt64);
  EXPECT_THAT(error_for("a.h5", torch::tensor({0, 2, 9}, torch::kInt64), torch::ones({3})),
              HasSubstr("offsets is 9 at index 2"));
  EXPECT_THAT(error_for("b.h5", torch::tensor({2, 0, 3}, torch::kInt64), torch::ones({3})),
              HasSubstr("offsets is 0 at index 1"));
  EXPECT_THAT(error_for("c.h5", good, torch::ones({2})),
              HasSubstr("/train/values has 2 elements, but /train/indices has 3"));
  EXPECT_THAT(error_for("d.h5", good, torch::tensor({1.0F, INFINITY, 1.0F})), HasSubstr("not finite"));
  EXPECT_THAT(error_for("e.h5", torch::tensor({0}, torch::kInt64), torch::ones({3})),
              HasSubstr("one more than there are rows"));
}

TEST_F(SparseRowsTest, NumbersThatAreNotColumnsAreNamed) {
  const auto error_for = [&](const char* name, int64_t index) {
    return error_of(options(make(name, {{"/train/indices", torch::full({2}, index, torch::kInt64)},
                                        {"/train/offsets", torch::tensor({0, 1, 2}, torch::kInt64)}})));
  };
  EXPECT_THAT(error_for("below.h5", -1), HasSubstr("/train/indices is -1 at index 0; expected 0 to"));
  EXPECT_THAT(error_for("above.h5", int64_t{1} << 40),
              HasSubstr("/train/indices is 1099511627776 at index 0; expected 0 to 268435455"));
}

TEST_F(SparseRowsTest, AreTransformedAndHeldToTheLikelihoodsSupport) {
  const auto rows = [&](const char* name, float last) {
    return Dataset(options(make(name, {{"/train/indices", torch::tensor({0, 3, 1}, torch::kInt64)},
                                       {"/train/offsets", torch::tensor({0, 2, 2, 3}, torch::kInt64)},
                                       {"/train/values", torch::tensor({1.0F, 2.0F, last})}})));
  };
  Dataset counts = rows("counts.h5", 5);
  counts.set_transform({.kind = "log1p"}, {Support::non_negative, "use counts"});
  EXPECT_TRUE(
      torch::allclose(counts.split("train").read({2}).x, torch::tensor({{0.0F, 1.791759F, 0.0F, 0.0F}})));
  Dataset negative = rows("negative.h5", -1);
  negative.set_transform({.kind = "none"}, {Support::non_negative, "use counts"});
  EXPECT_THAT([&] { negative.split("train").read_all(); },
              testing::ThrowsMessage<Error>(AllOf(HasSubstr("row 2"), HasSubstr("below 0: -1; use counts"))));
}

}  // namespace
}  // namespace elbo
