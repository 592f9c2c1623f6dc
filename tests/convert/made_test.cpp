// Formats that generate or assemble rows: moving digits, sprites, clips, piano rolls.
#include <png.h>

#include "conversion.h"

namespace elbo {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class MadeTest : public ConversionTest {
 protected:
  void picture(const std::string& name, int value) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    const torch::Tensor pixels = torch::full({2, 3}, value, torch::kUInt8);
    png_image image{};
    image.version = PNG_IMAGE_VERSION;
    image.height = 2, image.width = 3, image.format = PNG_FORMAT_GRAY;
    png_image_write_to_file(&image, path(name).c_str(), 0, pixels.const_data_ptr<uint8_t>(), 0, nullptr);
  }
};

TEST_F(MadeTest, DigitsMoveAndStayWhole) {
  const std::string digits = make("digits.h5",
                                  {{"/train/x", torch::full({3, 1, 4, 4}, 100, torch::kUInt8)},
                                   {"/test/x", torch::full({2, 1, 4, 4}, 200, torch::kUInt8)}},
                                  "image");
  convert("moving_digits", {digits},
          {{"n", "5"}, {"n_test", "2"}, {"frames", "30"}, {"size", "10"}, {"digits", "1"}});
  EXPECT_EQ(kind(), "sequence");
  const torch::Tensor x = read("/train/x");
  EXPECT_EQ(x.sizes(), (std::vector<int64_t>{5, 30, 1, 10, 10}));
  EXPECT_EQ(read("/test/x").sizes(), (std::vector<int64_t>{2, 30, 1, 10, 10}));
  EXPECT_TRUE(((x == 100).flatten(2).sum(2) == 16).all().item<bool>());  // never cut off
  EXPECT_FALSE(x[0][0].equal(x[0][5]));
  EXPECT_FALSE(x[0][0].equal(x[1][0]));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("moving_digits", {digits}, {{"size", "3"}}), HasSubstr("4 x 4 pixels"));
}

TEST_F(MadeTest, SpritesCoverTheGrid) {
  convert("sprites", {}, {{"every", "4000"}, {"test_fraction", "0.2"}});
  const torch::Tensor x = read("/train/x"), factors = read("/train/factors");
  EXPECT_EQ(x.size(0) + read("/test/x").size(0), 737280 / 4000);
  EXPECT_EQ(factors.sizes(), (std::vector<int64_t>{x.size(0), 5}));
  EXPECT_THAT(numbers(std::get<0>(factors.max(0))),
              ElementsAre(2, 5, testing::Gt(30), testing::Gt(25), testing::Gt(25)));
  // A square with a side of 1.4 times the radius, which is 5.5 to 11 pixels. The number of its pixels is
  // close to its area.
  for (int64_t i = 0; i < x.size(0); ++i) {
    if (factors[i][0].item<int>() != 0) continue;
    const double side = 1.4 * 11 * (0.5 + 0.1 * factors[i][1].item<double>());
    EXPECT_NEAR((x[i] == 255).sum().item<double>(), side * side, 0.15 * side * side);
  }
}

TEST_F(MadeTest, ImagesInTheOrderOfTheirNumbersBecomeClips) {
  for (int i = 1; i <= 12; ++i) picture("film/a/frame" + std::to_string(i) + ".png", i);
  picture("film/b/1.png", 50), picture("film/b/2.png", 60);
  convert("video", {path("film")}, {{"channels", "1"}, {"frames", "2"}, {"stride", "5"}});
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{4, 2, 1, 2, 3}));
  EXPECT_THAT(numbers(read("/train/x").flatten(2).select(2, 0)), ElementsAre(1, 2, 6, 7, 11, 12, 50, 60));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("video", {path("film")}, {{"stride", "1"}, {"test_fraction", "0.1"}}),
              HasSubstr("overlap"));
  EXPECT_THAT(refusal_of("video", {path("film")}, {{"frames", "20"}}), HasSubstr("would have no rows"));
}

TEST_F(MadeTest, KeysOfAPianoAreRowsOfSteps) {
  const std::string file =
      write("a.json", R"({"train": [[[21, 108], [], [22]], [[60]]], "valid": [[[61], [62]]]})");
  convert("piano_rolls", {file}, {{"frames", "2"}});
  EXPECT_EQ(read("/train/x").sizes(), (std::vector<int64_t>{3, 2, 88}));
  EXPECT_THAT(numbers(read("/train/length")), ElementsAre(2, 1, 1));
  EXPECT_THAT(numbers(read("/train/x").nonzero()), ElementsAre(0, 0, 0, 0, 0, 87, 1, 0, 1, 2, 0, 39));
  EXPECT_THAT(numbers(read("/validation/x").nonzero()), ElementsAre(0, 0, 40, 0, 1, 41));
  std::filesystem::remove(out());
  EXPECT_THAT(refusal_of("piano_rolls", {write("b.json", "{\"train\": [[[20]]]}")}),
              HasSubstr("piece 0, step 0: holds 20"));
  for (const char* number :
       {"1e300", "-9223372036854775808", "60.5"})  // beyond 64 bits, at their end, between keys
    EXPECT_THAT(refusal_of("piano_rolls", {write("b.json", fmt::format("{{\"train\": [[[{}]]]}}", number))}),
                HasSubstr("piece 0, step 0: holds"));
  EXPECT_THAT(refusal_of("piano_rolls", {write("c.json", "{\"train\": [")}), HasSubstr("is not JSON"));
  EXPECT_THAT(refusal_of("piano_rolls", {write("d.json", "{\"songs\": []}")}), HasSubstr("holds 'songs'"));
}

}  // namespace
}  // namespace elbo
