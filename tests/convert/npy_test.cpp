#include "conversion.h"
#include "elbo/convert/npy_reader.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class NpyTest : public ConversionTest {
 protected:
  // The bytes of a file as numpy.save() writes them.
  static std::string npy(const std::string& description, const std::string& shape,
                         const std::string& elements, bool fortran = false, char version = 1) {
    std::string header = "{'descr': '" + description + "', 'fortran_order': " + (fortran ? "True" : "False") +
                         ", 'shape': " + shape + ", }\n";
    std::string size{static_cast<char>(header.size()), static_cast<char>(header.size() >> 8)};
    if (version > 1) size += std::string(2, '\0');
    return "\x93NUMPY" + std::string{version, 0} + size + header + elements;
  }
  torch::Tensor read_all(const std::string& bytes) const {
    NpyReader reader(open_bytes(write("one.npy", bytes)));
    torch::Tensor rows = reader.next(reader.rows());
    reader.require_end();
    return rows;
  }
};

TEST_F(NpyTest, EveryTypeAndByteOrderIsRead) {
  using namespace std::string_literals;
  EXPECT_THAT(numbers(read_all(npy("|b1", "(2,)", "\1\0"s))), ElementsAre(1, 0));
  EXPECT_THAT(numbers(read_all(npy("|i1", "(2,)", "\xff\x7f"s))), ElementsAre(-1, 127));
  EXPECT_THAT(numbers(read_all(npy(">i2", "(2,)", "\xff\xfe\x01\x00"s))), ElementsAre(-2, 256));
  EXPECT_THAT(numbers(read_all(npy("<u2", "(1,)", "\xff\xff"s))), ElementsAre(65535));
  EXPECT_THAT(numbers(read_all(npy(">u4", "(1,)", "\xff\xff\xff\xff"s))), ElementsAre(4294967295));
  EXPECT_THAT(numbers(read_all(npy("<i8", "(1,)", "\1\0\0\0\1\0\0\0"s))), ElementsAre(4294967297));
  EXPECT_THAT(numbers(read_all(npy("<f2", "(2,)", "\x00\x3c\x00\xc0"s))), ElementsAre(1, -2));
  EXPECT_THAT(numbers(read_all(npy(">f4", "(1,)", "\x3f\xc0\0\0"s))), ElementsAre(1.5));
  EXPECT_THAT(numbers(read_all(npy(">f8", "(1,)", "\x3f\xf8\0\0\0\0\0\0"s))), ElementsAre(1.5));
  EXPECT_THAT(numbers(read_all(npy("|u1", "(2,)", "ab", false, 2))), ElementsAre('a', 'b'));
}

TEST_F(NpyTest, FortranOrderIsTransposed) {
  // x[i, j, k] = 100 i + 10 j + k of shape (2, 3, 2): the first index varies fastest in the file.
  std::string elements;
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) elements += static_cast<char>(100 * i + 10 * j + k);
  NpyReader reader(open_bytes(write("one.npy", npy("|u1", "(2, 3, 2)", elements, true))));
  EXPECT_THAT(numbers(reader.next(1)), ElementsAre(0, 1, 10, 11, 20, 21));
  EXPECT_THAT(numbers(reader.next(1)), ElementsAre(100, 101, 110, 111, 120, 121));
}

TEST_F(NpyTest, RowsAndLabelsBecomeADataSet) {
  std::string elements, labels;
  for (int i = 0; i < 1000 * 2; ++i) elements += static_cast<char>(i / 2 % 256);
  for (int i = 0; i < 1000; ++i) labels += static_cast<char>(i % 5);
  convert("npy",
          {write("x.npy", npy("|u1", "(1000, 2)", elements)), write("y.npy", npy("|u1", "(1000,)", labels))},
          {{"validation_fraction", "0.2"}, {"test_fraction", "0.1"}, {"seed", "3"}});
  EXPECT_EQ(kind(), "tabular");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{700, 2}));
  EXPECT_EQ(read("/validation/x").sizes(), (std::vector<int64_t>{200, 2}));
  EXPECT_EQ(read("/test/label").sizes(), (std::vector<int64_t>{100}));
  EXPECT_EQ(integer_attribute("/test/label", "classes"), 5);
  const int64_t sum =
      (read("/train/label").sum() + read("/validation/label").sum() + read("/test/label").sum())
          .item<int64_t>();
  EXPECT_EQ(sum, 1000 * 2);  // every row is in one split
}

TEST_F(NpyTest, TextsAreClasses) {
  using namespace std::string_literals;
  const std::string x = write("x.npy", npy("|u1", "(3, 1)", "abc"));
  const auto ucs4 = [](const std::string& order, std::initializer_list<uint32_t> characters) {
    std::string bytes;
    for (const uint32_t character : characters)
      for (int i = 0; i < 4; ++i)
        bytes += static_cast<char>(character >> 8U * static_cast<unsigned>(order == "<" ? i : 3 - i));
    return bytes;
  };
  for (const std::string order : {"<", ">"}) {
    convert(
        "npy",
        {x, write("y.npy", npy(order + "U2", "(3,)", ucs4(order, {0x6771, 0x4eac, 'a', 0, 0x1f600, 'b'})))});
    EXPECT_THAT(numbers(read("/train/label")), ElementsAre(1, 0, 2));
    const hdf5::Handle file = hdf5::open_file(out());
    EXPECT_THAT(hdf5::read_texts_attribute(hdf5::open_dataset(file, "/train/label"), "class_names"),
                ElementsAre("a", "\u6771\u4eac",
                            "\U0001f600"
                            "b"));
    std::filesystem::remove(out());
  }
  convert("npy", {x, write("y.npy", npy("|S2", "(3,)", "b\0a\0b\0"s))});
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(1, 0, 1));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("npy", {write("t.npy", npy("|S2", "(3,)", "b\0a\0b\0"s))}),
              HasSubstr("holds texts"));
  const std::string train = write("x_train.npy", npy("|u1", "(3, 1)", "abc")),
                    test = write("x_test.npy", npy("|u1", "(1, 1)", "d")),
                    test_label = write("y_test.npy", npy("|S1", "(1,)", "k"));
  EXPECT_THAT(
      refusal_of("npy", {train, write("y_train.npy", npy("|u1", "(3,)", "\0\1\0"s)), test, test_label}),
      HasSubstr("some labels are texts and others numbers"));
  convert("npy", {train, test, test_label});
  EXPECT_THAT(numbers(read("/test/label")), ElementsAre(0));
}

TEST_F(NpyTest, ImagesAreRecognisedAsInOtherFiles) {
  const std::string x = write("x.npy", npy("|u1", "(1, 5, 4, 3)", std::string(60, 'a')));
  convert("npy", {x});
  EXPECT_EQ(kind(), "image");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{1, 3, 5, 4}));
  std::filesystem::remove(out());
  convert("npy", {x}, {{"kind", "sequence"}});
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{1, 5, 4, 3}));
  std::filesystem::remove(out());
  convert("npy", {write("c.npy", npy("<u2", "(1, 16, 16)", std::string(512, 'a')))});
  EXPECT_EQ(kind(), "image");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{1, 1, 16, 16}));
}

TEST_F(NpyTest, VolumesAreRecognised) {
  const std::string x = write("x.npy", npy("|u1", "(2, 8, 9, 10)", std::string(2 * 720, 'a'))),
                    last = write("l.npy", npy("|u1", "(1, 2, 1, 1, 3)", "abcdef"));
  convert("npy", {x});
  EXPECT_EQ(kind(), "volume");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{2, 1, 8, 9, 10}));
  std::filesystem::remove(out());
  convert("npy", {x}, {{"kind", "image"}});
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{2, 8, 9, 10}));
  std::filesystem::remove(out());
  convert("npy", {last}, {{"kind", "volume"}, {"channels_last", "true"}});
  EXPECT_EQ(kind(), "volume");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{1, 3, 2, 1, 1}));
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre('a', 'd', 'b', 'e', 'c', 'f'));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("npy", {write("t.npy", npy("|u1", "(2, 1)", "12"))}, {{"kind", "volume"}}),
              HasSubstr("expected (depth, height, width) or (channels, depth, height, width)"));
}

TEST_F(NpyTest, WhatIsNotAnArrayOfNumbersIsRefused) {
  EXPECT_THAT(refusal_of("npy", {write("a.npy", "hello, world")}), HasSubstr("is not a NumPy array"));
  EXPECT_THAT(refusal_of("npy", {write("b.npy", npy("<c8", "(2,)", ""))}), HasSubstr("type '<c8'"));
  EXPECT_THAT(refusal_of("npy", {write("c.npy", npy("<f4", "(2,)", "1234"))}), HasSubstr("is cut short"));
  EXPECT_THAT(refusal_of("npy", {write("d.npy", npy("|u1", "(2,)", "123"))}), HasSubstr("has data after"));
  EXPECT_THAT(refusal_of("npy", {write("e.npy", npy("|u1", "(2, 0)", ""))}), HasSubstr("is empty"));
  EXPECT_THAT(refusal_of("npy", {write("f.npy", npy("|u1", "()", "1"))}), HasSubstr("is a single value"));
  EXPECT_THAT(refusal_of("npy", {write("g.npy", npy("|u1", "(2, 99999999999)", "1"))}),
              HasSubstr("a row has"));
  EXPECT_THAT(refusal_of("npy", {write("h.npy", npy("|u1", "(2,)", "12")),
                                 write("l.npy", npy("|i1", "(3,)", "123"))}),
              HasSubstr("3 labels for the 2 rows"));
  EXPECT_THAT(refusal_of("npy", {write("i.npy", npy("|u1", "(2,)", "12")),
                                 write("m.npy", npy("|i1", "(2,)", "\1\xff"))}),
              HasSubstr("the label of row 1 is -1"));
  EXPECT_THAT(refusal_of("npy", {write("j.npy", npy("|u1", "(2,)", "12"))}, {{"test_fraction", "0.01"}}),
              HasSubstr("too few"));
}

// With a regular expression, each character took a frame of the stack.
TEST_F(NpyTest, AHeaderOfSixtyThousandCharactersIsNoProblem) {
  const std::string blanks(60000, ' ');
  EXPECT_EQ(read_all(npy("|u1", "(" + blanks + "2,)", "12")).numel(), 2);
  EXPECT_THAT(refusal_of("npy", {write("a.npy", npy(blanks, "(2,)", "12"))}),
              HasSubstr("holds elements of type"));
  EXPECT_THAT(refusal_of("npy", {write("b.npy", npy("|u1", "(2" + blanks + "x)", "12"))}),
              HasSubstr("its shape is"));
}

}  // namespace
}  // namespace elbo
