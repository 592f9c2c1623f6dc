#include "elbo/kernels/patches.h"

#include <gtest/gtest.h>

#include <vector>

namespace elbo {
namespace {

// One image of 3 × 4 pixels with the channels n and -n, where n is the pixel's number from 1 on.
const Patches shape{.images = 1,
                    .height = 3,
                    .width = 4,
                    .channels = 2,
                    .kernel = 2,
                    .stride = 2,
                    .padding = 1,
                    .rows = 2,
                    .columns = 3};

std::vector<float> numbered() {
  std::vector<float> image;
  for (int n = 1; n <= 12; ++n) {
    image.push_back(static_cast<float>(n));
    image.push_back(static_cast<float>(-n));
  }
  return image;
}

TEST(Patches, HoldTheirPixelsByRowColumnAndChannel) {
  const std::vector<float> image = numbered();
  std::vector<float> patches(static_cast<size_t>(shape.count() * shape.size()), 7.0F);
  gather_patches(shape, image.data(), patches.data());
  const std::vector<std::vector<float>> pixels = {{0, 0, 0, 1}, {0, 0, 2, 3},   {0, 0, 4, 0},
                                                  {0, 5, 0, 9}, {6, 7, 10, 11}, {8, 0, 12, 0}};
  std::vector<float> expected;
  for (const std::vector<float>& patch : pixels)
    for (const float n : patch) {
      expected.push_back(n);
      expected.push_back(-n);
    }
  EXPECT_EQ(patches, expected);
}

TEST(Patches, AreAddedToTheirPlaces) {
  const std::vector<float> image = numbered();
  std::vector<float> patches(static_cast<size_t>(shape.count() * shape.size()));
  gather_patches(shape, image.data(), patches.data());
  std::vector<float> sum(image.size(), 0.5F);
  add_patches(shape, patches.data(), sum.data());
  for (size_t i = 0; i < sum.size(); ++i)
    EXPECT_EQ(sum[i], image[i] + 0.5F) << i;  // each pixel is in one patch
}

TEST(Patches, OverlapsAddUp) {
  const Patches row{.images = 1,
                    .height = 1,
                    .width = 4,
                    .channels = 1,
                    .kernel = 1,
                    .stride = 1,
                    .padding = 0,
                    .rows = 1,
                    .columns = 4};
  const Patches wide{.images = 1,
                     .height = 3,
                     .width = 3,
                     .channels = 1,
                     .kernel = 3,
                     .stride = 1,
                     .padding = 1,
                     .rows = 3,
                     .columns = 3};
  std::vector<float> same(4, 0.0F);
  const std::vector<float> four = {1, 2, 3, 4};
  add_patches(row, four.data(), same.data());
  EXPECT_EQ(same, four);
  std::vector<float> image(9, 0.0F);
  const std::vector<float> ones(81, 1.0F);
  add_patches(wide, ones.data(), image.data());
  EXPECT_EQ(image, (std::vector<float>{4, 6, 4, 6, 9, 6, 4, 6, 4}));
}

}  // namespace
}  // namespace elbo
