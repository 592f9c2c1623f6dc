#include "elbo/kernels/patches.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace elbo {
namespace {

// One image of 3 × 4 pixels with the channels n and -n, where n is the pixel's number from 1 on.
const Patches shape{.images = 1,
                    .channels = 2,
                    .sides = {1, 3, 4},
                    .kernel = {1, 2, 2},
                    .stride = {1, 2, 2},
                    .padding = {0, 1, 1},
                    .grid = {1, 2, 3}};

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
  gather_patches(shape, 0, shape.count(), image.data(), patches.data(), shape.size());
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

TEST(Patches, MayBeGatheredAndAddedInParts) {
  const std::vector<float> image = numbered();
  const int64_t size = shape.size(), step = size + 3;
  std::vector<float> whole(static_cast<size_t>(shape.count() * size)), sums(image.size());
  gather_patches(shape, 0, shape.count(), image.data(), whole.data(), size);
  for (const auto& [first, end] : {std::pair<int64_t, int64_t>{0, 1}, {1, 4}, {4, 6}}) {
    std::vector<float> part(static_cast<size_t>((end - first) * step), 7.0F);
    gather_patches(shape, first, end, image.data(), part.data(), step);
    for (int64_t patch = first; patch < end; ++patch) {
      const auto begin = part.begin() + (patch - first) * step;
      EXPECT_TRUE(std::equal(begin, begin + size, whole.begin() + patch * size));
      EXPECT_EQ(begin[size], 7.0F);
    }
    add_patches(shape, first, end, whole.data() + first * size, sums.data());
  }
  EXPECT_EQ(sums, image);
}

TEST(Patches, AreAddedToTheirPlaces) {
  const std::vector<float> image = numbered();
  std::vector<float> patches(static_cast<size_t>(shape.count() * shape.size()));
  gather_patches(shape, 0, shape.count(), image.data(), patches.data(), shape.size());
  std::vector<float> sum(image.size(), 0.5F);
  add_patches(shape, 0, shape.count(), patches.data(), sum.data());
  for (size_t i = 0; i < sum.size(); ++i)
    EXPECT_EQ(sum[i], image[i] + 0.5F) << i;  // each pixel is in one patch
}

TEST(Patches, OverlapsAddUp) {
  const Patches row{.images = 1, .channels = 1, .sides = {1, 1, 4}, .grid = {1, 1, 4}};
  const Patches wide{.images = 1,
                     .channels = 1,
                     .sides = {1, 3, 3},
                     .kernel = {1, 3, 3},
                     .padding = {0, 1, 1},
                     .grid = {1, 3, 3}};
  std::vector<float> same(4, 0.0F);
  const std::vector<float> four = {1, 2, 3, 4};
  add_patches(row, 0, row.count(), four.data(), same.data());
  EXPECT_EQ(same, four);
  std::vector<float> image(9, 0.0F);
  const std::vector<float> ones(81, 1.0F);
  add_patches(wide, 0, wide.count(), ones.data(), image.data());
  EXPECT_EQ(image, (std::vector<float>{4, 6, 4, 6, 9, 6, 4, 6, 4}));
}

TEST(Patches, MayLeaveGapsAndGoBeyondTheirSequence) {
  // A causal convolution of a sequence: three steps, every second one, from four before the first on.
  const Patches causal{.images = 2,
                       .channels = 2,
                       .sides = {1, 1, 3},
                       .kernel = {1, 1, 3},
                       .padding = {0, 0, 4},
                       .dilation = {1, 1, 2},
                       .grid = {1, 1, 3}};
  const std::vector<float> steps = {1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6};
  std::vector<float> patches(static_cast<size_t>(causal.count() * causal.size()), 7.0F);
  gather_patches(causal, 0, causal.count(), steps.data(), patches.data(), causal.size());
  EXPECT_EQ(patches, (std::vector<float>{0, 0, 0, 0, 1, -1, 0, 0, 0, 0, 2, -2, 0, 0, 1, -1, 3, -3,
                                         0, 0, 0, 0, 4, -4, 0, 0, 0, 0, 5, -5, 0, 0, 4, -4, 6, -6}));
  std::vector<float> sums(steps.size(), 0.0F);
  add_patches(causal, 0, causal.count(), patches.data(), sums.data());
  EXPECT_EQ(sums, (std::vector<float>{2, -2, 2, -2, 3, -3, 8, -8, 5, -5, 6, -6}));
}

}  // namespace
}  // namespace elbo
