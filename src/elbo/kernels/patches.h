// The patches of images that a convolution multiplies with its weights.
#pragma once
#include <cstdint>

namespace elbo {

// Images (images, height, width, channels) and the patches of kernel × kernel pixels around which a
// convolution moves: (images, rows, columns, kernel, kernel, channels). Pixels outside of an image are 0.
struct Patches {
  int64_t images, height, width, channels;
  int64_t kernel, stride, padding;
  int64_t rows, columns;  // of patches in an image
  int64_t count() const { return images * rows * columns; }
  int64_t size() const { return kernel * kernel * channels; }  // elements of a patch
};

// Copies all patches of the images.
void gather_patches(const Patches& shape, const float* images, float* patches);

// Adds each patch to its place in the images: the transpose of gather_patches(). Each pixel's additions are
// in the order of the patches.
void add_patches(const Patches& shape, const float* patches, float* images);

}  // namespace elbo
