#include "elbo/data/dataset.h"

#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include <bit>
#include <fstream>
#include <numeric>

#include "data_test.h"
#include "elbo/base/memory.h"

namespace elbo {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class DatasetTest : public DataTest {};

torch::Tensor ramp(at::IntArrayRef shape, torch::ScalarType type = torch::kFloat32) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return torch::arange(n, torch::kInt64).remainder(251).to(type).reshape(shape);
}

TEST_F(DatasetTest, BytesAreScaledToTheUnitIntervalAndRowsKeepTheirLabels) {
  const torch::Tensor x = ramp({20, 1, 4, 4}, torch::kUInt8);
  const torch::Tensor label = torch::arange(20, torch::kInt64).remainder(3);
  const Dataset dataset(options(make("a.h5", {{"/train/x", x}, {"/train/label", label}}, "image", 6)));
  EXPECT_EQ(dataset.shape().x, (std::vector<int64_t>{1, 4, 4}));
  EXPECT_TRUE(dataset.shape().is_image());
  EXPECT_EQ(dataset.shape().classes, 3);
  const std::vector<int64_t> ids{19, 0, 7, 7};
  const Batch batch = dataset.split("train").read(ids);
  const torch::Tensor index = torch::tensor(ids);
  EXPECT_TRUE(torch::equal(batch.x, x.index_select(0, index).to(torch::kFloat32)));
  EXPECT_TRUE(torch::equal(batch.label, label.index_select(0, index)));
  EXPECT_TRUE(torch::equal(batch.ids, index));
}

TEST_F(DatasetTest, EveryNumericTypeIsConvertedToFloat32) {
  for (const auto type : {torch::kFloat64, torch::kFloat32, torch::kInt64, torch::kInt32}) {
    const torch::Tensor x = ramp({9, 5}, type);
    const std::string name = std::string(torch::toString(type)) + ".h5";
    const Dataset dataset(options(make(name, {{"/train/x", x}})));
    EXPECT_TRUE(torch::equal(dataset.split("train").read({8, 3}).x,
                             x.index_select(0, torch::tensor({8, 3})).to(torch::kFloat32)));
  }
}

TEST_F(DatasetTest, AnEvictedChunkIsReadAgain) {
  // A cache of 2 MiB for 16 MiB of rows.
  const torch::Tensor x = ramp({4096, 1024});
  DataOptions small = options(make("big.h5", {{"/train/x", x}}));
  small.shuffle_buffer_bytes = 1 << 20;
  const Dataset dataset(small);
  for (int round = 0; round < 2; ++round)
    for (int64_t row = 0; row < 4096; row += 64)
      EXPECT_TRUE(torch::equal(dataset.split("train").read({row}).x[0], x[row]));
}

// What a dataset of this shape is taken for, and the shape of a row.
struct Taken {
  std::vector<int64_t> stored;
  std::string kind_in_file, data_kind, axes;
  std::string kind;
  std::vector<int64_t> row, order;  // order: of the dimensions as stored, where it changes
};

TEST_F(DatasetTest, VolumesAreRecognisedWhereNothingElseHasTheirShape) {
  const std::vector<Taken> cases{
      {{5, 9, 10, 12}, "", "auto", "auto", "volume", {1, 9, 10, 12}, {}},
      {{5, 16, 16, 16}, "", "auto", "auto", "volume", {1, 16, 16, 16}, {}},
      {{5, 2, 9, 10, 12}, "", "auto", "auto", "volume", {2, 9, 10, 12}, {}},
      {{5, 1, 8, 40, 12}, "", "auto", "auto", "volume", {1, 8, 40, 12}, {}},
      {{5, 16, 40, 40}, "", "auto", "auto", "image", {16, 40, 40}, {}},  // channels
      {{5, 7, 8, 8}, "", "auto", "auto", "image", {7, 8, 8}, {}},
      {{5, 3, 20, 20}, "", "auto", "auto", "image", {3, 20, 20}, {}},
      {{5, 4, 3, 9, 9}, "", "auto", "auto", "", {4, 3, 9, 9}, {}},  // video
      {{5, 9, 9, 9, 1}, "", "auto", "auto", "", {9, 9, 9, 1}, {}},  // time, or depth
      {{5, 9, 10, 12}, "image", "auto", "auto", "image", {9, 10, 12}, {}},
      {{5, 2, 9, 10, 12}, "sequence", "auto", "auto", "sequence", {2, 9, 10, 12}, {}},
      {{5, 3, 20, 20}, "volume", "auto", "auto", "volume", {1, 3, 20, 20}, {}},
      {{5, 3, 20, 20}, "", "volume", "auto", "volume", {1, 3, 20, 20}, {}},
      {{5, 9, 10, 12}, "volume", "image", "auto", "image", {9, 10, 12}, {}},
      {{5, 9, 8, 7, 2}, "volume", "auto", "auto", "volume", {2, 9, 8, 7}, {0, 4, 1, 2, 3}},
      {{5, 9, 10, 12}, "", "auto", "NCHW", "image", {9, 10, 12}, {}},
      {{5, 9, 10, 12}, "", "auto", "NHWD", "volume", {1, 12, 9, 10}, {0, 3, 1, 2}},
      {{5, 3, 10, 12, 4}, "", "auto", "NDHWC", "volume", {4, 3, 10, 12}, {0, 4, 1, 2, 3}},
      {{5, 2, 10, 3, 6}, "", "auto", "NCDWH", "volume", {2, 10, 6, 3}, {0, 1, 2, 4, 3}},
  };
  for (const Taken& tested : cases)
    for (const torch::ScalarType type : {torch::kUInt8, torch::kFloat32}) {
      SCOPED_TRACE(fmt::format("{} {} {} {}", fmt::join(tested.stored, "x"), tested.kind_in_file,
                               tested.data_kind, tested.axes));
      const torch::Tensor x = ramp(tested.stored, type);
      DataOptions said = options(make("volumes.h5", {{"/train/x", x}}, tested.kind_in_file, 2));
      said.kind = tested.data_kind;
      said.axes = tested.axes;
      const Dataset dataset(said);
      EXPECT_EQ(dataset.shape().kind, tested.kind);
      EXPECT_EQ(dataset.shape().x, tested.row);
      EXPECT_EQ(dataset.shape().is_volume(), tested.kind == "volume");
      EXPECT_EQ(dataset.shape().spatial(), tested.kind == "volume" ? 3 : 2);
      const torch::Tensor expected = tested.order.empty() ? x : x.permute(tested.order);
      std::vector<int64_t> rows{2};
      rows.insert(rows.end(), tested.row.begin(), tested.row.end());
      EXPECT_TRUE(
          torch::equal(dataset.split("train").read({4, 1}).x,
                       expected.index_select(0, torch::tensor({4, 1})).reshape(rows).to(torch::kFloat32)));
      std::filesystem::remove(path("volumes.h5"));
    }
}

TEST_F(DatasetTest, AnotherFileIsTakenAsTheRunsOwnWas) {
  const std::string cubes = make("cubes.h5", {{"/train/x", ramp({5, 9, 9, 9})}}),
                    flat = make("flat.h5", {{"/train/x", ramp({5, 3, 20, 20})}});
  DataOptions other = options(cubes);
  other.like = DataShape{.x = {9, 9, 9}, .kind = "image"};  // of a run on images of nine channels
  EXPECT_EQ(Dataset(other).shape().kind, "image");
  other.path = flat;
  other.like = DataShape{.x = {1, 3, 20, 20}, .kind = "volume", .axes = "NDHW"};
  EXPECT_EQ(Dataset(other).shape().x, (std::vector<int64_t>{1, 3, 20, 20}));
}

TEST_F(DatasetTest, RowsThatCannotBeVolumesAreRefused) {
  DataOptions said = options(make("table.h5", {{"/train/x", ramp({5, 7})}}));
  said.kind = "volume";
  EXPECT_THAT(error_of(said), HasSubstr("expected (rows, channels, depth, height, width) for volumes"));
}

TEST_F(DatasetTest, ManyFilesAreOneDataSet) {
  const torch::Tensor x = ramp({90, 6}), label = torch::arange(90, torch::kInt64).remainder(4);
  int64_t first = 0;
  for (const int64_t rows : {40, 1, 49}) {  // chunked, contiguous, chunked
    const auto part = [&](const torch::Tensor& whole) { return whole.narrow(0, first, rows).contiguous(); };
    make(fmt::format("part{}.h5", first), {{"/train/x", part(x)}, {"/train/label", part(label)}}, "",
         rows > 1 ? 8 : 0);
    first += rows;
  }
  make("test.h5", {{"/test/x", ramp({5, 6})}});
  for (const std::string& where : {path("part*.h5") + "," + path("test.h5"), path("*.h5")}) {
    const Dataset dataset(options(where));
    EXPECT_THAT(dataset.splits(), testing::ElementsAre("train", "test"));
    EXPECT_EQ(dataset.shape().classes, 4);
    EXPECT_EQ(dataset.split("train").rows(), 90);
    const std::vector<int64_t> ids{89, 0, 39, 40, 41, 39, 7};
    const Batch batch = dataset.split("train").read(ids);
    const torch::Tensor index = torch::tensor(ids);
    EXPECT_TRUE(torch::equal(batch.x, x.index_select(0, index)));
    EXPECT_TRUE(torch::equal(batch.label, label.index_select(0, index)));
    EXPECT_TRUE(torch::equal(batch.ids, index));
  }
}

TEST_F(DatasetTest, RowsKeepTheirLengths) {
  const torch::Tensor x = ramp({30, 5, 2}), length = torch::arange(30, torch::kInt64).remainder(6);
  const Dataset dataset(options(make("a.h5", {{"/train/x", x}, {"/train/length", length}}, "sequence")));
  EXPECT_TRUE(torch::equal(dataset.split("train").read({29, 4}).length, torch::tensor({5, 4})));
  EXPECT_THAT(error_of(options(make("b.h5", {{"/train/x", x}, {"/train/length", length + 1}}, "sequence"))),
              HasSubstr("/train/length has the length 6 in row 5; expected 0 to 5"));
  EXPECT_THAT(error_of(options(make("c.h5", {{"/train/x", x}, {"/train/length", ramp({30})}}, "sequence"))),
              HasSubstr("one integer for each of the 30 rows"));
}

TEST_F(DatasetTest, TokensOfEveryIntegerTypeAreReadAsIds) {
  const torch::Tensor tokens = torch::tensor({{1, 4, 6, 2}, {1, 5, 2, 0}});
  // Chunked rows are cached; contiguous rows are read one by one.
  for (const int64_t chunk_rows : {0, 2})
    for (const auto type : {torch::kUInt8, torch::kInt16, torch::kInt32}) {
      const std::string name = fmt::format("{}_{}.h5", torch::toString(type), chunk_rows);
      const auto with = [&](const std::string& file, const torch::Tensor& x) {
        make(file, {{"/train/x", x.to(type)}}, "tokens", chunk_rows);
        const auto guard = hdf5::lock();
        const hdf5::Handle handle(H5Fopen(path(file).c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
        hdf5::write_texts(handle, "/vocabulary", {"<pad>", "<bos>", "<eos>", "<unk>", "a", "b", "c"});
      };
      with(name, tokens);
      const Dataset dataset(options(path(name)));
      EXPECT_EQ(dataset.shape().tokens, 7);
      EXPECT_EQ(dataset.shape().rows, 2);
      EXPECT_TRUE(torch::equal(dataset.split("train").read({1, 0}).x, tokens.flip(0).to(torch::kFloat32)));
      torch::Tensor beyond = tokens.clone();
      beyond[1][2] = 7;
      with("beyond_" + name, beyond);
      EXPECT_THAT(error_of(options(path("beyond_" + name))), testing::HasSubstr("has the token 7 in row 1"));
    }
  EXPECT_THAT(error_of(options(make("bare.h5", {{"/train/x", tokens}}, "tokens"))),
              testing::HasSubstr("/vocabulary"));
}

TEST_F(DatasetTest, FilesThatDoNotAgreeAreRejected) {
  const torch::Tensor label = torch::zeros({10}, torch::kInt64);
  make("a.h5", {{"/train/x", ramp({10, 4})}, {"/train/label", label}});
  make("b.h5", {{"/train/x", ramp({10, 5})}, {"/train/label", label}});
  make("c.h5", {{"/train/x", ramp({10, 4})}});
  const auto together = [&](const std::string& other) {
    return error_of(options(path("a.h5") + "," + path(other)));
  };
  EXPECT_THAT(together("b.h5"), AllOf(HasSubstr("b.h5: /train/x"), HasSubstr("a.h5"), HasSubstr("(5)")));
  EXPECT_THAT(label_error_of(options(path("a.h5") + "," + path("c.h5"))),
              AllOf(HasSubstr("c.h5: /train/x has no labels"), HasSubstr("a.h5")));
  EXPECT_THAT(together("a.h5"), HasSubstr("twice"));
  EXPECT_THAT(error_of(options(path("none*.h5"))), HasSubstr("matches no file"));
}

TEST_F(DatasetTest, AnyOtherLayoutWorksByNamingItsDatasets) {
  const torch::Tensor x = ramp({200, 6});
  DataOptions custom =
      options(make("lab.h5", {{"/images/raw", x}, {"/images/kind", ramp({200}, torch::kInt64)}}));
  custom.x = "/images/raw";
  custom.validation_fraction = 0.25;
  const Dataset dataset(custom);
  EXPECT_EQ(dataset.splits(), (std::vector<std::string>{"train", "validation"}));
  EXPECT_EQ(dataset.split("train").rows(), 150);
  EXPECT_EQ(dataset.split("validation").rows(), 50);
  std::vector<int> seen(200, 0);
  for (const char* split : {"train", "validation"})
    for (int64_t i = 0; i < dataset.split(split).rows(); ++i) {
      const torch::Tensor row = dataset.split(split).read({i}).x[0];
      for (int64_t j = 0; j < 200; ++j)
        if (torch::equal(row, x[j])) ++seen[static_cast<size_t>(j)];
    }
  EXPECT_THAT(seen, testing::Each(1));  // no two rows of the ramp are alike
}

TEST_F(DatasetTest, AllRowsFollowOneAnotherWithTheirNumbers) {
  const torch::Tensor x = ramp({200, 6}), test = ramp({3, 6});
  DataOptions held_out = options(make("a.h5", {{"/train/x", x}, {"/test/x", test}}, "", 3));
  held_out.validation_fraction = 0.25;
  const Dataset dataset(held_out);
  const RowSource& all = dataset.split("all");
  ASSERT_EQ(all.rows(), 203);
  std::vector<int64_t> ids(203);
  std::iota(ids.begin(), ids.end(), 0);
  EXPECT_TRUE(torch::equal(all.read(ids).x, torch::cat({x, test})));
  EXPECT_EQ(all.identity(199).row, 199);
  EXPECT_EQ(all.identity(202).split, "test");
  EXPECT_EQ(all.identity(202).row, 2);
  const RowSource& validation = dataset.split("validation");
  for (const int64_t id : {0, 17, 49}) {
    EXPECT_EQ(validation.identity(id).split, "train");
    EXPECT_TRUE(torch::equal(validation.read({id}).x[0], x[validation.identity(id).row]));
  }
}

TEST_F(DatasetTest, TheFingerprintDependsOnTheContentNotOnTheLayout) {
  const torch::Tensor x = ramp({300, 8});
  torch::Tensor other = x.clone();
  other[0][0] += 1;
  const auto fingerprint = [&](const std::string& path) { return Dataset(options(path)).fingerprint(); };
  const std::string plain = fingerprint(make("plain.h5", {{"/train/x", x}}));
  EXPECT_EQ(plain, fingerprint(make("chunked.h5", {{"/train/x", x}}, "", 32)));
  EXPECT_NE(plain, fingerprint(make("other.h5", {{"/train/x", other}})));
  EXPECT_NE(plain, fingerprint(make("shorter.h5", {{"/train/x", x.narrow(0, 0, 299).clone()}})));
}

TEST_F(DatasetTest, FilesThatCannotBeReadAreReportedWithTheReason) {
  EXPECT_THAT(error_of(options(path("none.h5"))), AllOf(HasSubstr("none.h5"), HasSubstr("no such file")));
  EXPECT_THAT(error_of(options(path(""))), HasSubstr("is a folder"));
  std::ofstream(path("text.h5")) << "this is not an HDF5 file, but it is long enough";
  EXPECT_THAT(error_of(options(path("text.h5"))), HasSubstr("is not an HDF5 file"));
  const std::string cut = make("cut.h5", {{"/train/x", ramp({500, 50})}});
  std::filesystem::resize_file(cut, std::filesystem::file_size(cut) / 2);
  EXPECT_THAT(error_of(options(cut)), HasSubstr("truncated"));
}

TEST_F(DatasetTest, DatasetsWithoutRowsAreRejected) {
  const torch::Tensor x = ramp({10, 4});
  EXPECT_THAT(error_of(options(make("a.h5", {{"/data", x}, {"/more", x}}))),
              AllOf(HasSubstr("data.x"), HasSubstr("/data (10, 4), /more")));
  EXPECT_THAT(error_of(options(make("b.h5", {{"/train/y", x}}))),
              AllOf(HasSubstr("no dataset x"), HasSubstr("/train/y")));
  EXPECT_THAT(error_of(options(make("c.h5", {{"/train/x", ramp({10})}}))),
              HasSubstr("at least 2 dimensions"));
  EXPECT_THAT(error_of(options(make("d.h5", {{"/train/x", torch::empty({0, 4})}}))), HasSubstr("is empty"));
  EXPECT_THAT(error_of(options(make("e.h5", {{"/train/x/y", x}}))), HasSubstr("is a group"));
  EXPECT_THAT(error_of(options(make("f.h5", {{"/train/x", x}, {"/test/x", ramp({10, 5})}}))),
              HasSubstr("expected the same in all"));
  EXPECT_THAT(error_of(options(make("g.h5", {{"/train/x", ramp({10, 4})}}, "image"))),
              HasSubstr("(rows, channels, height, width)"));
}

TEST_F(DatasetTest, ImpossibleShapesAreRejected) {
  const auto error_for = [&](const std::array<hsize_t, 2>& shape) {
    {
      const auto guard = hdf5::lock();
      const hdf5::Handle file(H5Fcreate(path("d.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                              H5Fclose);
      const hdf5::Handle group = hdf5::create_group(file, "/train");
      const hdf5::Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose),
          space(H5Screate_simple(2, shape.data(), nullptr), H5Sclose);
      const std::array<hsize_t, 2> chunk{1, 4};
      H5Pset_chunk(layout.get(), 2, chunk.data());  // no chunk is ever written
      const hdf5::Handle x(
          H5Dcreate2(group.get(), "x", H5T_STD_U8LE, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
          H5Dclose);
    }
    return error_of(options(path("d.h5")));
  };
  constexpr hsize_t one = 1;
  EXPECT_THAT(error_for({4, one << 62}), HasSubstr("rows of at most 1e+09 elements"));
  EXPECT_THAT(error_for({one << 33, one << 33}), HasSubstr("rows of at most 1e+09 elements"));
  EXPECT_THAT(error_for({one << 62, 4}), HasSubstr("the file is damaged"));
}

TEST_F(DatasetTest, StringsInsteadOfNumbersAreRejected) {
  const std::string file = path("strings.h5");
  {
    const hdf5::Handle out = hdf5::create_file(file);
    const hdf5::Handle group = hdf5::create_group(out, "/train");
    const hdf5::Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(type.get(), 8);
    const hsize_t shape[] = {3, 2};
    const hdf5::Handle space(H5Screate_simple(2, shape, nullptr), H5Sclose);
    const hdf5::Handle x(
        H5Dcreate2(group.get(), "x", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
        H5Dclose);
  }
  EXPECT_THAT(error_of(options(file)),
              AllOf(HasSubstr("/train/x"), HasSubstr("string"), HasSubstr("expected numbers")));
}

TEST_F(DatasetTest, InvalidValuesAreReportedWithTheirRow) {
  torch::Tensor x = ramp({10, 4});
  x[7][2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(error_of(options(make("nan.h5", {{"/train/x", x}}))),
              AllOf(HasSubstr("not finite"), HasSubstr("row 7")));
  x[7][2] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(error_of(options(make("inf.h5", {{"/train/x", x}}))),
              AllOf(HasSubstr("not finite"), HasSubstr("row 7")));
}

TEST_F(DatasetTest, ALabelThatNoRowHasIsSaid) {
  const auto notes_of = [&](const std::string& name, const torch::Tensor& labels) {
    return Dataset(options(make(name, {{"/train/x", torch::rand({4, 3})}, {"/train/label", labels}}, "", 4)))
        .notes();
  };
  EXPECT_THAT(notes_of("from_1.h5", torch::tensor({1, 2, 3, 1})),
              Contains(HasSubstr("labels begin at 1: class 0 has no rows")));
  EXPECT_THAT(notes_of("from_0.h5", torch::tensor({1, 2, 3, 0})), Not(Contains(HasSubstr("labels begin"))));
}

TEST_F(DatasetTest, ValuesThatFloat32CannotDistinguishAreNamed) {
  const auto notes_of = [&](const std::string& name, const torch::Tensor& x) {
    return Dataset(options(make(name, {{"/train/x", x}}, "", 7))).notes();
  };
  const torch::Tensor noise = torch::linspace(-1, 1, 300, torch::kFloat64);
  const torch::Tensor seconds = 1'600'000'000 + torch::arange(300, torch::kFloat64);
  EXPECT_THAT(notes_of("dates.h5", torch::stack({noise, seconds}, 1)),
              testing::Contains(AllOf(HasSubstr("/train/x"), HasSubstr("1 of the 2 values"),
                                      HasSubstr("at 1:"), HasSubstr("1600000000 to 1600000299"))));
  EXPECT_THAT(notes_of("integers.h5", torch::stack({seconds, seconds}, 1).to(torch::kInt64)),
              testing::Contains(HasSubstr("2 of the 2 values")));
  EXPECT_THAT(notes_of("plain.h5", torch::stack({noise, 1e5 + noise, 0 * noise + 1e9}, 1)),
              testing::IsEmpty());
  EXPECT_THAT(notes_of("float32.h5", torch::stack({noise, seconds}, 1).to(torch::kFloat32)),
              testing::IsEmpty());
}

TEST_F(DatasetTest, AnUnknownKindIsAnErrorThatNamesTheNearestOne) {
  const torch::Tensor x = ramp({10, 4});
  EXPECT_THAT(error_of(options(make("a.h5", {{"/train/x", x}}, "Images"))),
              AllOf(HasSubstr("\"Images\""), HasSubstr("did you mean image?"), HasSubstr("delete it")));
  EXPECT_THAT(error_of(options(make("b.h5", {{"/train/x", x}}, "run of May"))),
              HasSubstr("expected one of image"));
  EXPECT_EQ(error_of(options(make("c.h5", {{"/train/x", x}}, "tabular"))), "no error");
}

TEST_F(DatasetTest, AFractionThatRoundsToNothingIsAnError) {
  DataOptions held_out = options(make("a.h5", {{"/train/x", ramp({10, 4})}}));
  held_out.validation_fraction = 0.004;
  EXPECT_THAT(error_of(held_out),
              AllOf(HasSubstr("data.validation_fraction=0.004"), HasSubstr("at least 0.01")));
}

TEST_F(DatasetTest, LabelsOutOfRangeAreReportedToAModelThatUsesThem) {
  const torch::Tensor x = ramp({10, 4});
  torch::Tensor label = torch::arange(10, torch::kInt64).remainder(4);
  torch::Tensor negative = label.clone();
  negative[4] = -1;
  EXPECT_THAT(label_error_of(options(make("a.h5", {{"/train/x", x}, {"/train/label", negative}}))),
              AllOf(HasSubstr("label -1"), HasSubstr("row 4")));
  torch::Tensor beyond = label.clone();
  beyond[2] = 4;
  EXPECT_THAT(
      label_error_of(options(
          make("b.h5", {{"/train/x", x}, {"/train/label", label}, {"/test/x", x}, {"/test/label", beyond}}))),
      AllOf(HasSubstr("/test/label"), HasSubstr("label 4"), HasSubstr("0 to 3")));
  torch::Tensor huge = label.clone();
  huge[2] = 1000;
  EXPECT_THAT(label_error_of(options(make("c.h5", {{"/train/x", x}, {"/train/label", huge}}))),
              HasSubstr("label 1000"));
  EXPECT_THAT(label_error_of(
                  options(make("d.h5", {{"/train/x", x}, {"/train/label", label.narrow(0, 0, 9).clone()}}))),
              HasSubstr("as many labels as rows"));
}

TEST_F(DatasetTest, AMissingSplitIsReportedWithTheExistingOnes) {
  const Dataset dataset(options(make("a.h5", {{"/train/x", ramp({10, 4})}})));
  try {
    dataset.split("test");
    FAIL() << "there is no test split";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("no test split"), HasSubstr("train")));
  }
}

TEST_F(DatasetTest, AFileThatChangesWhileItIsReadIsReported) {
  const std::string file = make("changing.h5", {{"/train/x", torch::rand({20, 3})}});
  const Dataset dataset(options(file));
  dataset.split("train").read({1, 2});
  std::filesystem::last_write_time(file,
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  try {
    dataset.split("train").read({1, 2});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("changing.h5"), testing::HasSubstr("changed")));
  }
}

TEST(DefaultShuffleBuffer, IsAPowerOfTwoThatFitsIntoMemory) {
  const auto bytes = static_cast<uint64_t>(default_shuffle_buffer_bytes());
  EXPECT_TRUE(std::has_single_bit(bytes));
  EXPECT_GE(bytes, uint64_t{1} << 26);
  EXPECT_LE(bytes, std::max(static_cast<uint64_t>(free_memory()) / 8, uint64_t{1} << 26));
}

}  // namespace
}  // namespace elbo
