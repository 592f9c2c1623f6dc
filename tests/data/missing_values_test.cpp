#include "elbo/data/missing_values.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <limits>

#include "data_test.h"
#include "elbo/data/packed_values.h"

namespace elbo {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

class MissingValues : public DataTest {
 protected:
  static DataOptions masked(const std::string& path, const std::string& value = "") {
    DataOptions all = options(path);
    all.missing = "mask";
    all.missing_value = value;
    return all;
  }
  // A file whose dataset /train/x has attributes of one number each.
  std::string with_attributes(const std::string& name, const torch::Tensor& x,
                              const std::vector<std::pair<std::string, double>>& attributes) const {
    const std::string path = make(name, {{"/train/x", x}});
    const auto guard = hdf5::lock();
    const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
    for (const auto& [key, value] : attributes)
      hdf5::write_attribute(hdf5::open_dataset(file, "/train/x"), key, value);
    return path;
  }
  // Rows 0 and 1.
  static void expect_rows(const DataOptions& data_options, const torch::Tensor& x,
                          const torch::Tensor& observed) {
    const Dataset dataset(data_options);
    const Batch batch = dataset.split("train").read({0, 1});
    EXPECT_TRUE(torch::allclose(batch.x, x)) << batch.x;
    ASSERT_TRUE(batch.observed.defined());
    EXPECT_TRUE(torch::equal(batch.observed, observed)) << batch.observed;
  }
};

TEST_F(MissingValues, NaNIsRefusedOrMasked) {
  const torch::Tensor x = torch::tensor({{1.0F, nan_value, 3.0F}, {4.0F, 5.0F, nan_value}});
  const torch::Tensor zeros = torch::tensor({{1.0F, 0.0F, 3.0F}, {4.0F, 5.0F, 0.0F}});
  for (const int64_t chunk_rows : {0, 1}) {
    const std::string path =
        make("nan" + std::to_string(chunk_rows) + ".h5", {{"/train/x", x}}, "", chunk_rows);
    EXPECT_THAT(error_of(options(path)), AllOf(HasSubstr("NaN"), HasSubstr("data.missing=mask")));
    expect_rows(masked(path), zeros, x.isnan().logical_not());
  }
}

TEST_F(MissingValues, WithoutAMaskBatchesHaveNone) {
  const Dataset dataset(options(make("a.h5", {{"/train/x", torch::ones({3, 2})}})));
  EXPECT_FALSE(dataset.split("train").read({0}).observed.defined());
  EXPECT_FALSE(dataset.shape().masked);
}

TEST_F(MissingValues, InfinityIsNotMissing) {
  torch::Tensor x = torch::ones({3, 2});
  x[2][0] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(error_of(masked(make("a.h5", {{"/train/x", x}}))),
              AllOf(HasSubstr("infinity"), HasSubstr("row 2")));
}

TEST_F(MissingValues, AttributesDeclareThemAsStored) {
  const torch::Tensor x = torch::tensor({{1, -9, 3}, {40, 5, 6}}, torch::kInt32);
  const std::vector<std::pair<std::string, double>> scale{{"scale_factor", 0.5}, {"add_offset", 10}};
  const torch::Tensor no_nine = torch::tensor({{true, false, true}, {true, true, true}});
  const torch::Tensor no_forty = torch::tensor({{true, true, true}, {false, true, true}});
  const torch::Tensor unpacked = torch::tensor({{10.5F, 5.5F, 11.5F}, {30.0F, 12.5F, 13.0F}});
  for (const auto& [attribute, value, observed] :
       {std::tuple{"_FillValue", -9.0, no_nine}, std::tuple{"missing_value", 40.0, no_forty},
        std::tuple{"valid_min", -8.5, no_nine}, std::tuple{"valid_max", 39.0, no_forty}}) {
    auto attributes = scale;
    attributes.emplace_back(attribute, value);
    const std::string path = with_attributes(std::string(attribute) + ".h5", x, attributes);
    EXPECT_THAT(error_of(options(path)), HasSubstr(std::string("its attribute ") + attribute)) << attribute;
    expect_rows(masked(path), unpacked.masked_fill(observed.logical_not(), 0), observed);
  }
}

TEST_F(MissingValues, TheUserNamesFurtherOnes) {
  const std::string path =
      make("a.h5", {{"/train/x", torch::tensor({{7, 1}, {2, 255}}, torch::kUInt8)}}, "tabular");
  EXPECT_EQ(error_of(options(path)), "no error");
  DataOptions named = options(path);
  named.missing_value = "7";
  EXPECT_THAT(error_of(named),
              AllOf(HasSubstr("row 0"), HasSubstr("the value 7, which data.missing_value declares missing")));
  expect_rows(masked(path, "7, 255"), torch::tensor({{0.0F, 1.0F}, {2.0F, 0.0F}}),
              torch::tensor({{false, true}, {true, false}}));
  EXPECT_THAT(error_of(masked(path, "none")), HasSubstr("data.missing_value=none: expected numbers"));
}

TEST_F(MissingValues, RowsOfManyFilesKeepTheirMasks) {
  const std::string first = make("a.h5", {{"/train/x", torch::tensor({{1.0F, nan_value}})}});
  const std::string second = make("b.h5", {{"/train/x", torch::tensor({{nan_value, 2.0F}})}});
  expect_rows(masked(first + "," + second), torch::tensor({{1.0F, 0.0F}, {0.0F, 2.0F}}),
              torch::tensor({{true, false}, {false, true}}));
}

TEST_F(MissingValues, TheyAreZeroAfterTheTransform) {
  Dataset dataset(masked(make("a.h5", {{"/train/x", torch::tensor({{1.0F, nan_value}, {3.0F, 5.0F}})}})));
  dataset.set_transform(
      {.kind = "standardize", .shift = torch::tensor({2.0F, 7.0F}), .scale = torch::tensor({1.0F, 2.0F})},
      {});
  EXPECT_TRUE(
      torch::equal(dataset.split("train").read({0, 1}).x, torch::tensor({{-1.0F, 0.0F}, {1.0F, -1.0F}})));
  EXPECT_TRUE(torch::equal(dataset.stored_split("train").read({1, 0}).x,
                           torch::tensor({{3.0F, 5.0F}, {1.0F, 0.0F}})));
}

TEST_F(MissingValues, TokensAndSparseRowsHaveNone) {
  const torch::Tensor indices = torch::tensor({0, 1}, torch::kInt64),
                      offsets = torch::tensor({0, 1, 2}, torch::kInt64);
  const std::string sparse = make("s.h5", {{"/train/indices", indices}, {"/train/offsets", offsets}});
  EXPECT_THAT(error_of(masked(sparse)),
              AllOf(HasSubstr("sparse rows"), HasSubstr("expected data.missing=refuse")));
  DataOptions named = options(sparse);
  named.missing_value = "0";
  EXPECT_THAT(error_of(named), HasSubstr("data.missing_value has no meaning"));
}

TEST(Batch, AnEncoderSeesTheMaskAsFurtherFeaturesOrChannels) {
  const DataShape table{.x = {3}, .kind = "tabular", .masked = true},
      images{.x = {2, 4, 5}, .kind = "image", .masked = true};
  EXPECT_EQ(table.encoder_row(), (std::vector<int64_t>{6}));
  EXPECT_EQ(images.encoder_row(), (std::vector<int64_t>{4, 4, 5}));
  EXPECT_EQ((DataShape{.x = {3}, .kind = "tabular"}.encoder_row()), (std::vector<int64_t>{3}));
  const Batch row{
      .x = torch::tensor({{1.0F, 0.0F}}), .label = {}, .ids = {}, .observed = torch::tensor({{true, false}})};
  EXPECT_TRUE(torch::equal(row.encoder_input(), torch::tensor({{1.0F, 0.0F, 1.0F, 0.0F}})));
  EXPECT_TRUE(torch::equal(row.with_x(torch::tensor({{5.0F, 6.0F}})).x, torch::tensor({{5.0F, 0.0F}})));
  const Batch image{.x = torch::zeros({3, 2, 4, 5}),
                    .label = {},
                    .ids = {},
                    .observed = torch::ones({3, 2, 4, 5}, torch::kBool)};
  EXPECT_TRUE(torch::equal(image.encoder_input().sum({0, 2, 3}), torch::tensor({0.0F, 0.0F, 60.0F, 60.0F})));
}

TEST(DescribeMissing, NamesTheWorstColumns) {
  EXPECT_EQ(describe_missing({{10, 0}, {10, 0}}), "no value is missing");
  EXPECT_EQ(describe_missing({{10, 0}, {10, 10}}),
            "10 of 20 values are missing (50 %), all in column 1 (100 %)");
  EXPECT_EQ(describe_missing({{10, 1}, {10, 0}, {10, 4}}, {"age", "height", "mass"}),
            "5 of 30 values are missing (16.7 %), most in columns 'mass' (40 %), 'age' (10 %)");
  EXPECT_EQ(describe_missing({{8, 2}}), "2 of 8 values are missing (25 %)");
}

}  // namespace
}  // namespace elbo
