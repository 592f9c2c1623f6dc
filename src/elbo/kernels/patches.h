// The patches of images that a convolution multiplies with its weights.
#pragma once
#include <array>
#include <cstdint>

namespace elbo {

// Images (images, depth, height, width, channels) and the patches of `kernel` pixels around which a
// convolution moves: (images, …grid, …kernel, channels). Pixels outside of an image are 0. Images of fewer
// dimensions have a depth, and a height, of 1.
struct Patches {
  using Sides = std::array<int64_t, 3>;  // depth, height, width
  int64_t images = 0, channels = 0;
  Sides sides{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, padding{0, 0, 0}, dilation{1, 1, 1};
  Sides grid{1, 1, 1};  // of patches in an image
  int64_t count() const { return images * grid[0] * grid[1] * grid[2]; }
  int64_t size() const { return kernel[0] * kernel[1] * kernel[2] * channels; }  // elements of a patch
};

// Copies the patches [first, end) of the images: patch i to patches + (i - first) · step.
void gather_patches(const Patches& shape, int64_t first, int64_t end, const float* images, float* patches,
                    int64_t step);

// Adds the patches [first, end), which are adjacent, to their places in the images: the transpose of
// gather_patches(). Each pixel's additions are in the order of the patches.
void add_patches(const Patches& shape, int64_t first, int64_t end, const float* patches, float* images);

}  // namespace elbo
