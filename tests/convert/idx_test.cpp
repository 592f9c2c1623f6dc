#include "conversion.h"

namespace elbo {
namespace {

using testing::HasSubstr;

class ConvertIdxTest : public ConversionTest {
 protected:
  static std::string number(int64_t value) {
    return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
            static_cast<char>(value)};
  }
  // The bytes of an IDX file whose elements count 0, 1, 2 …
  static std::string idx(const std::vector<int64_t>& shape, int64_t elements) {
    std::string bytes{0, 0, 8, static_cast<char>(shape.size())};
    for (const int64_t size : shape) bytes += number(size);
    for (int64_t i = 0; i < elements; ++i) bytes += static_cast<char>(i % 7);
    return bytes;
  }
};

TEST_F(ConvertIdxTest, ImagesAndLabelsBecomeSplits) {
  convert("idx",
          {write("train-images", idx({600, 20, 30}, 600 * 20 * 30), true),
           write("train-labels", idx({600}, 600)), write("t10k-images", idx({5, 20, 30}, 5 * 20 * 30))},
          {{"license", "free"}});
  const Dataset dataset(options(out()));
  EXPECT_EQ(dataset.splits(), (std::vector<std::string>{"train", "test"}));
  EXPECT_EQ(dataset.shape().x, (std::vector<int64_t>{1, 20, 30}));
  EXPECT_EQ(dataset.shape().classes, 7);
  EXPECT_EQ(dataset.attribute("license"), "free");
  EXPECT_EQ(dataset.attribute("kind"), "image");
  const Batch last = dataset.split("train").read({599});
  EXPECT_EQ(last.label[0].item<int64_t>(), 599 % 7);
  EXPECT_EQ(last.x.flatten()[599].item<float>(), static_cast<float>((599 * 600 + 599) % 7));
}

TEST_F(ConvertIdxTest, DamagedFilesAreRefusedAndLeaveNothing) {
  const std::string images = idx({10, 4, 4}, 160);
  EXPECT_THAT(refusal_of("idx", {write("a", "hello, world")}), HasSubstr("is not an IDX file"));
  EXPECT_THAT(refusal_of("idx", {write("b", images.substr(0, 100))}), HasSubstr("cut short"));
  EXPECT_THAT(refusal_of("idx", {write("c", images + "x")}), HasSubstr("has data after"));
  EXPECT_THAT(refusal_of("idx", {write("d", images), write("e", idx({9}, 9))}),
              HasSubstr("9 labels for the 10 images"));
  EXPECT_THAT(refusal_of("idx", {write("f", idx({9}, 9))}), HasSubstr("no images"));
  EXPECT_THAT(refusal_of("idx", {write("g", images), write("h", images)}), HasSubstr("one file of each"));
  EXPECT_THAT(refusal_of("idx", {path("none")}), HasSubstr("no such file"));
}

TEST_F(ConvertIdxTest, ACompressedFileWithoutItsChecksumIsCutShort) {
  const std::string file = write("images.gz", idx({10, 4, 4}, 160), true);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 4);
  EXPECT_THAT(refusal_of("idx", {file}), HasSubstr("images.gz: is cut short or damaged"));
}

TEST_F(ConvertIdxTest, AnExistingFileIsNotReplaced) {
  const std::string precious = write("out.h5", "precious");
  const std::string images = write("images", idx({10, 4, 4}, 160));
  EXPECT_THROW(convert("idx", {images}), Error);
  EXPECT_EQ(std::filesystem::file_size(precious), 8U);
}

}  // namespace
}  // namespace elbo
