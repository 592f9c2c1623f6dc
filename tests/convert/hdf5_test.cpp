#include <c10/util/accumulate.h>

#include <array>
#include <functional>

#include "conversion.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Hdf5Test : public ConversionTest {
 protected:
  // A file with one dataset; `finish` adds attributes and further datasets.
  std::string file(
      const std::string& name, const std::string& dataset, const torch::Tensor& values,
      const std::function<void(const hdf5::Handle& file, const hdf5::Handle& dataset)>& finish = {}) const {
    const hdf5::Handle created = hdf5::create_file(path(name));
    const hdf5::Handle written = hdf5::write_tensor(created, dataset, values.contiguous());
    if (finish) finish(created, written);
    return path(name);
  }
  static torch::Tensor count(const std::vector<int64_t>& shape, torch::ScalarType type = torch::kFloat32) {
    return torch::arange(c10::multiply_integers(shape)).reshape(shape).to(type);
  }
};

TEST_F(Hdf5Test, AxesBecomeThoseOfTheDataFormat) {
  const torch::Tensor x = count({5, 5, 6, 3}, torch::kUInt8);
  const std::string input = file("a.h5", "/pictures/raw", x);
  convert("hdf5", {input}, {{"x", "/pictures/raw"}});  // channels last by its shape
  EXPECT_EQ(kind(), "image");
  EXPECT_TRUE(torch::equal(read("/train/x"), x.permute({0, 3, 1, 2})));
  std::filesystem::remove(out());
  convert("hdf5", {input}, {{"axes", "WCHN"}});
  EXPECT_TRUE(torch::equal(read("/train/x"), x.permute({3, 1, 2, 0})));
  std::filesystem::remove(out());
  convert("hdf5", {input}, {{"axes", "TNWC"}});
  EXPECT_EQ(kind(), "sequence");
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("hdf5", {input}, {{"axes", "HWN"}}), HasSubstr("has 4 dimensions, (5, 5, 6, 3)"));
  EXPECT_THAT(refusal_of("hdf5", {input}, {{"axes", "HWCC"}}), HasSubstr("expected different letters"));
}

TEST_F(Hdf5Test, VolumesAreRecognised) {
  const torch::Tensor x = count({3, 8, 9, 10});
  const std::string input = file("v.h5", "/scans", x);
  convert("hdf5", {input}, {{"x", "/scans"}});
  EXPECT_EQ(kind(), "volume");
  EXPECT_TRUE(torch::equal(read("/train/x"), x.unsqueeze(1)));
  std::filesystem::remove(out());
  convert("hdf5", {input}, {{"axes", "NHWD"}});
  EXPECT_EQ(kind(), "volume");
  EXPECT_TRUE(torch::equal(read("/train/x"), x.permute({0, 3, 1, 2}).unsqueeze(1)));
  std::filesystem::remove(out());
  const std::string matlab =  // height, width, depth, rows
      file("v.mat", "/scans", x, [](const hdf5::Handle&, const hdf5::Handle& dataset) {
        hdf5::write_attribute(dataset, "MATLAB_class", std::string("single"));
      });
  convert("hdf5", {matlab});
  EXPECT_EQ(kind(), "volume");
  EXPECT_TRUE(torch::equal(read("/train/x"), x.permute({0, 1, 3, 2}).unsqueeze(1)));
}

TEST_F(Hdf5Test, MatlabStoresDimensionsInReverse) {
  const torch::Tensor table = count({7, 3}), pictures = count({2, 4, 5}, torch::kUInt8);  // H, W, N
  const auto matlab = [](const hdf5::Handle&, const hdf5::Handle& dataset) {
    hdf5::write_attribute(dataset, "MATLAB_class", std::string("double"));
  };
  convert("hdf5", {file("a.mat", "/X", table.t(), matlab)});
  EXPECT_TRUE(torch::equal(read("/train/x"), table));
  std::filesystem::remove(out());
  const std::string images = file("b.mat", "/imgs", pictures.permute({2, 1, 0}), matlab);
  const std::vector<Setting> none, named{{"axes", "HWN"}};
  for (const std::vector<Setting>* settings : {&none, &named}) {
    convert("hdf5", {images}, *settings);
    EXPECT_TRUE(torch::equal(read("/train/x"), pictures.permute({2, 0, 1}).unsqueeze(1)));
    std::filesystem::remove(out());
  }
  convert("hdf5", {file("c.h5", "/X", table.t())}, {{"transpose", "true"}});
  EXPECT_TRUE(torch::equal(read("/train/x"), table));
}

TEST_F(Hdf5Test, PackedValuesAreUnpackedAndFillValuesMissing) {
  torch::Tensor packed = torch::tensor({100, 200, -32768, 300, 400, 500}, torch::kInt16).reshape({3, 2});
  const std::string input =
      file("era.nc", "/t2m", packed, [](const hdf5::Handle&, const hdf5::Handle& dataset) {
        hdf5::write_attribute(dataset, "scale_factor", 0.01);
        hdf5::write_attribute(dataset, "add_offset", 250.0);
        hdf5::write_attribute(dataset, "_FillValue", int64_t{-32768});
      });
  EXPECT_THAT(refusal_of("hdf5", {input}), HasSubstr("era.nc: /t2m: row 1 has missing values"));
  convert("hdf5", {input}, {{"missing", "drop"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(251, 252, 254, 255));
  std::filesystem::remove(out());
  convert("hdf5", {input}, {{"missing", "keep"}});
  EXPECT_TRUE(std::isnan(numbers(read("/train/x"))[2]));
  EXPECT_EQ(numbers(read("/train/x"))[3], 253);
}

TEST_F(Hdf5Test, SignedIntegersThatStandForUnsignedOnesAreUnsigned) {
  const torch::Tensor stored = torch::tensor({1, -56, -1, 3}, torch::kInt8).reshape({2, 2});
  const std::string input =
      file("goes.nc", "/Rad", stored, [](const hdf5::Handle&, const hdf5::Handle& dataset) {
        hdf5::write_attribute(dataset, "_Unsigned", std::string("true"));
        hdf5::write_attribute(dataset, "_FillValue", int64_t{-1});
      });
  EXPECT_THAT(refusal_of("hdf5", {input}), HasSubstr("row 1 has missing values"));
  convert("hdf5", {input}, {{"missing", "keep"}});
  EXPECT_EQ(numbers(read("/train/x"))[1], 200);
  EXPECT_TRUE(std::isnan(numbers(read("/train/x"))[2]));
}

TEST_F(Hdf5Test, TypesAreChangedWithoutLoss) {
  const std::string input = file("a.h5", "/x", torch::tensor({1.0, 2.0, 300.0}, torch::kFloat64));
  convert("hdf5", {input}, {{"type", "int16"}});
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{3, 1}));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("hdf5", {input}, {{"type", "uint8"}}), HasSubstr("row 2 holds 300"));
  EXPECT_THAT(refusal_of("hdf5", {file("b.h5", "/x", torch::tensor({0.5}))}, {{"type", "int32"}}),
              HasSubstr("row 0 holds 0.5"));
}

TEST_F(Hdf5Test, FilesAreClassesOrSplits) {
  const std::string cats = file("cat.h5", "/x", count({3, 2})), dogs = file("dog.h5", "/x", count({2, 2}));
  convert("hdf5", {dogs, cats});
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(1, 1, 0, 0, 0));
  EXPECT_EQ(integer_attribute("/train/label", "classes"), 2);
  std::filesystem::remove(out());
  convert("hdf5", {dogs, cats}, {{"label", "none"}});
  EXPECT_FALSE(has("/train/label"));
  std::filesystem::remove(out());
  convert("hdf5", {file("my_train.h5", "/x", count({3, 2})), file("my_test.h5", "/x", count({2, 2}))});
  EXPECT_EQ(read("/test/x").size(0), 2);
  EXPECT_FALSE(has("/train/label"));
}

TEST_F(Hdf5Test, SplitsAndLabelsInAFile) {
  const std::string input =
      file("keras.h5", "/X_train", count({4, 2}), [](const hdf5::Handle& created, const hdf5::Handle&) {
        hdf5::write_tensor(created, "/X_test", count({2, 2}));
        hdf5::write_tensor(created, "/Y_train", torch::eye(4).index_select(0, torch::tensor({2, 0, 1, 3})));
        hdf5::write_tensor(created, "/Y_test", torch::eye(4).narrow(0, 1, 2).contiguous());
      });
  convert("hdf5", {input});
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(2, 0, 1, 3));  // of columns for each class
  EXPECT_THAT(numbers(read("/test/label")), ElementsAre(1, 2));
  std::filesystem::remove(out());
  const std::string texts =
      file("b.h5", "/x", count({3, 2}), [](const hdf5::Handle& created, const hdf5::Handle&) {
        hdf5::write_texts(created, "/type", {"b", "a", "b"});
        hdf5::write_tensor(created, "/few", torch::zeros({2}));
        hdf5::write_tensor(created, "/floats", torch::tensor({{0.0}, {2.0}, {1.0}}));
      });
  convert("hdf5", {texts}, {{"label", "/type"}});
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(1, 0, 1));
  std::filesystem::remove(out());
  convert("hdf5", {texts}, {{"label", "floats"}});
  EXPECT_EQ(integer_attribute("/train/label", "classes"), 3);
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("hdf5", {texts}, {{"label", "few"}}), HasSubstr("holds 2 labels for the 3 rows"));
  EXPECT_THAT(refusal_of("hdf5", {texts}, {{"x", "y"}}), HasSubstr("has no dataset y; set --x to one of"));
  EXPECT_THAT(refusal_of("hdf5", {texts}, {{"x", "type"}}), HasSubstr("holds string; expected numbers"));
}

TEST_F(Hdf5Test, FiltersThatTheLibraryLacksAreRead) {
  const auto write_lzf = [](const hdf5::Handle& created, const hdf5::Handle&) {
    const std::array<hsize_t, 2> shape{4, 2}, start{0, 0};
    const hdf5::Handle space(H5Screate_simple(2, shape.data(), nullptr), H5Sclose);
    const hdf5::Handle layout(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_chunk(layout.get(), 2, shape.data());
    H5Pset_filter(layout.get(), 32000, H5Z_FLAG_OPTIONAL, 0, nullptr);  // h5py's LZF
    const hdf5::Handle dataset(
        H5Dcreate2(created.get(), "/lzf", H5T_STD_U8LE, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
        H5Dclose);
    const std::string chunk =
        "\x07"
        "abcdefgh";  // eight literals
    H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 0, start.data(), chunk.size(), chunk.data());
  };
  const std::string input = file("a.h5", "/other", count({3, 2}), write_lzf);
  convert("hdf5", {input}, {{"x", "lzf"}});
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("hdf5", {input}, {{"x", "lzf"}, {"axes", "CN"}}),
              HasSubstr("only rows of its first dimension"));
}

TEST_F(Hdf5Test, RowsOfAnotherAxisAreReadPieceByPiece) {
  const torch::Tensor x = count({3000, 2000});  // 48 MB as float64: two pieces
  convert("hdf5", {file("a.h5", "/x", x)}, {{"axes", "CN"}});
  EXPECT_TRUE(torch::equal(read("/train/x"), x.t()));
}

}  // namespace
}  // namespace elbo
