#include "conversion.h"
#include "elbo/convert/image_file.h"
#include "samples.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ImagesTest : public ConversionTest {
 protected:
  std::string png(const std::string& name, const torch::Tensor& pixels) const {
    samples::write_png(path(name), pixels);
    return path(name);
  }
  std::string plain(const std::string& name, int64_t height, int64_t width, int value) const {
    return png(name, torch::full({height, width, 1}, value, torch::kUInt8));
  }
};

TEST_F(ImagesTest, TransparentPixelsAreCompositedOnWhiteAndGreyIsLuma) {
  const torch::Tensor pixels =
      torch::tensor({255, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 51}, torch::kUInt8).reshape({1, 3, 4});
  const std::string file = png("a.png", pixels);
  EXPECT_THAT(numbers(read_image(file, 3)), ElementsAre(255, 255, 204, 0, 255, 204, 0, 255, 204));
  EXPECT_THAT(numbers(read_image(file, 1)), ElementsAre(76, 255, 204));  // 0.299 of 255
}

TEST_F(ImagesTest, JpegIsReadNearlyAsItWasWritten) {
  const torch::Tensor pixels = torch::tensor({200, 100, 50}, torch::kUInt8).expand({16, 8, 3}).contiguous();
  const torch::Tensor image = read_image(write("a.jpg", samples::jpeg(pixels)), 3);
  EXPECT_EQ(image.sizes(), (std::vector<int64_t>{3, 16, 8}));
  EXPECT_LT((image.to(torch::kInt32) - pixels.permute({2, 0, 1}).to(torch::kInt32)).abs().max().item<int>(),
            4);
}

TEST_F(ImagesTest, PhotographsAreTurnedUpright) {
  // The left half is bright. Exif's 6: the upper side was at the right of the camera, 3: it was upside down.
  torch::Tensor pixels = torch::zeros({8, 16, 3}, torch::kUInt8);
  pixels.narrow(1, 0, 8).fill_(200);
  const auto held = [&](char orientation, const std::string& order) {
    using namespace std::string_literals;
    const bool little = order == "II";
    const auto word = [&](char low) { return little ? std::string{low, '\0'} : std::string{'\0', low}; };
    const auto number = [&](char low) { return little ? word(low) + "\0\0"s : "\0\0"s + word(low); };
    const std::string tag = little ? "\x12\x01"s : "\x01\x12"s;
    const std::string exif = "Exif\0\0"s + order + word(42) + number(8) + word(1) + tag + word(3) +
                             number(1) + word(orientation) + word(0) + number(0);
    std::string file = samples::jpeg(pixels);
    const std::string head{'\xff', '\xe1', '\0', static_cast<char>(exif.size() + 2)};
    return read_image(write("a.jpg", file.insert(2, head + exif)), 1)[0].gt(100);
  };
  EXPECT_TRUE(held(1, "II").narrow(1, 0, 8).all().item<bool>());
  EXPECT_TRUE(held(3, "MM").narrow(1, 8, 8).all().item<bool>());
  const torch::Tensor turned = held(6, "II");
  EXPECT_EQ(turned.sizes(), (std::vector<int64_t>{16, 8}));
  EXPECT_TRUE(turned.narrow(0, 0, 8).all().item<bool>());  // clockwise: left becomes up
  EXPECT_TRUE(held(8, "MM").narrow(0, 8, 8).all().item<bool>());
}

TEST_F(ImagesTest, InksOfAPrintBecomeColors) {
  // No cyan, half of the magenta, all of the yellow and no black, stored inverted.
  const torch::Tensor inks = torch::tensor({255, 128, 0, 255}, torch::kUInt8).expand({8, 8, 4}).contiguous();
  const torch::Tensor image = read_image(write("a.jpg", samples::jpeg(inks)), 3);
  for (const auto& [channel, value] : {std::pair{0, 255}, {1, 128}, {2, 0}})
    EXPECT_NEAR(image[channel][4][4].item<int>(), value, 3) << channel;
}

TEST_F(ImagesTest, SixteenBitsAreSaidToBecomeEight) {
  using namespace std::string_literals;
  write("deep/1.pgm", "P5 1 1\n65535\n\x80\x00"s), write("deep/2.pgm", "P5 1 1\n255\n\x10"s);
  testing::internal::CaptureStderr();
  convert("images", {path("deep")}, {{"channels", "1"}});
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("1 of 2 images have 16 bits"));
  EXPECT_THAT(numbers(read("/train/x")), ElementsAre(128, 16));
}

TEST_F(ImagesTest, ImagesAreResizedToOneSize) {
  // Two rows, 0 and 200, with two columns of white on each side.
  const torch::Tensor image =
      torch::tensor({255, 0, 200, 255, 255, 0, 200, 255}, torch::kUInt8).reshape({1, 2, 4});
  EXPECT_THAT(numbers(fit_image(image, 2, 2, "crop")), ElementsAre(0, 200, 0, 200));
  EXPECT_THAT(numbers(fit_image(image, 1, 1, "crop")), ElementsAre(100));
  EXPECT_THAT(numbers(fit_image(image, 4, 4, "pad").select(1, 0)), ElementsAre(255, 255, 255, 255));
  EXPECT_THAT(numbers(fit_image(image, 4, 4, "pad").select(1, 1)), ElementsAre(255, 0, 200, 255));
  EXPECT_EQ(fit_image(image, 3, 5, "stretch").sizes(), (std::vector<int64_t>{1, 3, 5}));
}

TEST_F(ImagesTest, FoldersAreClassesBelowSplits) {
  plain("set/train/b/1.png", 2, 3, 10), plain("set/train/a/2.png", 2, 3, 20),
      plain("set/test/b/3.PNG", 2, 3, 30);
  convert("images", {path("set")}, {{"channels", "1"}});
  EXPECT_EQ(kind(), "image");
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{2, 1, 2, 3}));
  EXPECT_THAT(numbers(read("/train/x").flatten(1).select(1, 0)), ElementsAre(20, 10));  // sorted by path
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(0, 1));
  EXPECT_THAT(numbers(read("/test/label")), ElementsAre(1));
}

TEST_F(ImagesTest, DamagedImagesAreRefusedOrLeftOut) {
  plain("set/1.png", 2, 2, 1);
  write("set/2.png", "\x89PNG\r\n\x1a\nrubbish");
  write("set/3.jpg", samples::jpeg(torch::zeros({32, 32, 3}, torch::kUInt8)).substr(0, 640));
  EXPECT_THAT(refusal_of("images", {path("set")}), HasSubstr("2.png: is damaged"));
  std::filesystem::create_symlink("gone.png", path("set/0.png"));
  EXPECT_THAT(
      refusal_of("images", {path("set")}),
      HasSubstr("0.png: links to gone.png, which does not exist; correct or remove the link, or leave it "
                "out with --skip_damaged"));
  convert("images", {path("set")}, {{"skip_damaged", "true"}});
  EXPECT_EQ(read("/train/x").size(0), 1);
  EXPECT_FALSE(has("/train/label"));
}

TEST_F(ImagesTest, BitmapsAndPortableMapsAreRead) {
  EXPECT_THAT(numbers(read_image(write("a.pgm", "P5\n# by hand\n2 1\n255\n\x07\xc8"), 1)),
              ElementsAre(7, 200));
  EXPECT_THAT(numbers(read_image(write("a.ppm", "P6 1 1 255\n\x01\x02\x03"), 3)), ElementsAre(1, 2, 3));
  using namespace std::string_literals;
  const std::string bmp = "BM\x3e\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\2\0\0\0\1\0\x18\0"s +
                          std::string(24, '\0') +
                          "\3\2\1\0\6\5\4\0"s;  // blue, green, red; the lowest row first
  EXPECT_THAT(numbers(read_image(write("a.bmp", bmp), 3)), ElementsAre(4, 1, 5, 2, 6, 3));
  write("cut/1.bmp", bmp.substr(0, 57));
  EXPECT_THAT(refusal_of("images", {path("cut")}), HasSubstr("1.bmp: is damaged"));
  write("none/1.pgm", "P5 2 -2 255\n....");
  EXPECT_THAT(refusal_of("images", {path("none")}), HasSubstr("1.pgm: is damaged"));
  write("huge/1.ppm", "P6 100000 100000 255\n");
  EXPECT_THAT(refusal_of("images", {path("huge")}), HasSubstr("expected at most 64 million"));
}

TEST_F(ImagesTest, TheBytesOfAFileDecideItsKind) {
  const torch::Tensor pixels = torch::full({4, 4, 3}, 80, torch::kUInt8);
  EXPECT_NEAR(numbers(read_image(write("a.png", samples::jpeg(pixels)), 1))[0], 80, 2);
  write("web/1.jpg", "RIFF1234WEBPVP8 ");
  EXPECT_THAT(refusal_of("images", {path("web")}), HasSubstr("1.jpg: is a WebP file"));
}

TEST_F(ImagesTest, ImagesOfOtherKindsAreNamed) {
  write("set/a/1.webp", "RIFF"), write("set/a/2.TIF", "II*"), write("set/b/3.webp", "RIFF"),
      write("set/notes.txt", "");
  EXPECT_THAT(refusal_of("images", {path("set")}), HasSubstr("1 .tif, 2 .webp; convert them to PNG"));
  plain("set/a/4.png", 2, 2, 1);
  testing::internal::CaptureStderr();
  convert("images", {path("set")});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("1 .tif, 2 .webp images beside 1 others are left out"));
}

TEST_F(ImagesTest, LinksThatLeadBackAreNotFollowed) {
  plain("set/a/1.png", 2, 2, 1), plain("elsewhere/2.png", 2, 2, 2);
  std::filesystem::create_directory_symlink(path(""), path("set/a/up"));
  std::filesystem::create_directory_symlink(path("elsewhere"), path("set/b"));
  std::filesystem::create_directory_symlink(path("set/a"), path("elsewhere/back"));
  std::filesystem::create_symlink(path("set/c"), path("set/c"));
  convert("images", {path("set")});
  EXPECT_THAT(numbers(read("/train/label")), ElementsAre(0, 1, 1));  // 1.png, 2.png, and 1.png by way of b
}

TEST_F(ImagesTest, ErrorsNameTheirCause) {
  EXPECT_THAT(refusal_of("images", {path("none")}), HasSubstr("is not a folder"));
  plain("set/1.png", 2, 2, 1), plain("set/2.png", 2, 3, 1);
  EXPECT_THAT(refusal_of("images", {path("set")}), HasSubstr("2.png: has 2 x 3 pixels"));
  plain("set/a/3.png", 2, 2, 1);
  EXPECT_THAT(refusal_of("images", {path("set")}), HasSubstr("1.png: is not in a sub-folder"));
  plain("set/test/3.png", 2, 2, 1);
  EXPECT_THAT(refusal_of("images", {path("set")}), HasSubstr("next to a split folder"));
  EXPECT_THAT(refusal_of("images", {path("set/a")}, {{"size", "0x4"}}), HasSubstr("--size=0x4"));
  std::string huge = "\x89PNG\r\n\x1a\n";
  huge += std::string("\0\0\0\x0dIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\0\0\0\0", 21) + "\xd3\xd9\x7a\x6a";
  write("huge/1.png", huge);
  EXPECT_THAT(refusal_of("images", {path("huge")}), HasSubstr("1.png: "));
}

}  // namespace
}  // namespace elbo
