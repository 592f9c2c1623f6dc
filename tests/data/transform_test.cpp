#include "elbo/data/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <memory>

#include "elbo/base/error.h"
#include "elbo/data/transformed_rows.h"

namespace elbo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Rows of two columns: 0 1, 2 3, …
class CountedRows final : public RowSource {
 public:
  explicit CountedRows(float factor) : factor_(factor) {}
  int64_t rows() const override { return 10; }
  int64_t rows_per_chunk() const override { return 3; }
  int64_t bytes_per_row() const override { return 8; }
  Batch read(const std::vector<int64_t>& ids) const override {
    const torch::Tensor at = torch::tensor(ids, torch::kInt64);
    const torch::Tensor x = torch::arange(20, torch::kFloat32).view({10, 2}) * factor_;
    return {x.index_select(0, at), {}, at};
  }
  void read_all() const override {}
  std::string access_method() const override { return "counted"; }

 private:
  float factor_;
};

TEST(Transform, UndoIsTheInverse) {
  const torch::Tensor x = torch::tensor({{0.5F, 3.0F}, {2.0F, 250.0F}, {0.0F, 7.0F}});
  for (const std::string& kind : transform_kinds()) {
    Transform transform{.kind = kind};
    if (!fitted_shape(kind, {2}).empty()) {
      transform.shift = torch::tensor({3.0F});
      transform.scale = torch::tensor({0.25F});
    }
    EXPECT_TRUE(torch::allclose(transform.undo(transform.apply(x)), x, 1e-5, 1e-5)) << kind;
  }
}

TEST(Transform, Values) {
  const torch::Tensor x = torch::tensor({{1.0F, 255.0F}});
  EXPECT_TRUE(torch::equal((Transform{.kind = "none"}.apply(x)), x));
  EXPECT_TRUE(torch::equal((Transform{.kind = "bytes"}.apply(x)), torch::tensor({{1.0F / 255.0F, 1.0F}})));
  EXPECT_TRUE(
      torch::allclose((Transform{.kind = "log1p"}.apply(x)), torch::tensor({{0.693147F, 5.545177F}})));
  const Transform standardize{
      .kind = "standardize", .shift = torch::tensor({1.0F, 5.0F}), .scale = torch::tensor({2.0F, 50.0F})};
  EXPECT_TRUE(torch::equal(standardize.apply(x), torch::tensor({{0.0F, 5.0F}})));
}

TEST(Transform, IsFittedByColumnFeatureOrChannel) {
  EXPECT_TRUE(fitted_shape("none", {7}).empty());
  EXPECT_EQ(fitted_shape("unit", {3, 8, 9}), (std::vector<int64_t>{1}));
  EXPECT_EQ(fitted_shape("standardize", {7}), (std::vector<int64_t>{7}));
  EXPECT_EQ(fitted_shape("robust", {20, 5}), (std::vector<int64_t>{5}));
  EXPECT_EQ(fitted_shape("standardize", {3, 8, 9}), (std::vector<int64_t>{3, 1, 1}));
  EXPECT_EQ(fitted_shape("standardize", {20, 3, 8, 9}), (std::vector<int64_t>{3, 1, 1}));
  EXPECT_EQ(fitted_shape("standardize", {2, 7, 8, 9}, 3), (std::vector<int64_t>{2, 1, 1, 1}));
}

std::string error_of(const TransformedRows& rows) {
  try {
    rows.read_all();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TransformedRows, AreLimitedToTheValuesThatAModelExplains) {
  const auto tenths = std::make_shared<CountedRows>(0.1F);
  EXPECT_EQ(error_of({tenths, {.kind = "none"}, {}}), "");
  EXPECT_THAT(error_of({tenths, {.kind = "none"}, {Support::unit_interval, "the remedy"}}),
              AllOf(HasSubstr("row 5 has a value outside of [0, 1]: 1.1"), HasSubstr("the remedy")));
  EXPECT_EQ(error_of({tenths, {.kind = "bytes"}, {Support::unit_interval, ""}}), "");
  const auto negative = std::make_shared<CountedRows>(-1.0F);
  EXPECT_THAT(error_of({negative, {.kind = "none"}, {Support::non_negative, "counts"}}),
              AllOf(HasSubstr("row 0 has a value below 0: -1"), HasSubstr("counts")));
  EXPECT_THAT(error_of({negative, {.kind = "log1p"}, {}}), HasSubstr("data.normalize=log1p needs"));
  EXPECT_EQ(error_of({std::make_shared<CountedRows>(1.0F), {.kind = "none"}, {Support::counts, ""}}), "");
  EXPECT_THAT(error_of({tenths, {.kind = "none"}, {Support::counts, "the counts"}}),
              AllOf(HasSubstr("row 0 has a value that is not a whole number of 0 or more: 0.1"),
                    HasSubstr("the counts")));
  EXPECT_THAT(error_of({negative, {.kind = "none"}, {Support::counts, ""}}), HasSubstr("or more: -1"));
}

}  // namespace
}  // namespace elbo
