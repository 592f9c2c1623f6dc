#include "elbo/kernels/patches.h"

#include <algorithm>

namespace elbo {
namespace {

// A run of pixels in a row of a patch: those inside of the image, and where they are.
struct Line {
  int64_t in_image, in_patch;  // offsets
  int64_t pixels;
};

// Calls line(row of the patch, its pixels inside of the image) for the patch at `place` of its image.
template <typename Visit>
void for_each_line(const Patches& s, int64_t image, const Patches::Sides& place, Visit&& visit) {
  const int64_t step = s.dilation[2], left = place[2] * s.stride[2] - s.padding[2];
  const int64_t first = std::clamp<int64_t>((-left + step - 1) / step, 0, s.kernel[2]);
  const int64_t end = left >= s.sides[2]
                          ? first
                          : std::clamp<int64_t>((s.sides[2] - left + step - 1) / step, first, s.kernel[2]);
  const int64_t row_size = s.kernel[2] * s.channels;
  int64_t row = 0;
  for (int64_t i = 0; i < s.kernel[0]; ++i)
    for (int64_t j = 0; j < s.kernel[1]; ++j, row += row_size) {
      const int64_t z = place[0] * s.stride[0] - s.padding[0] + i * s.dilation[0];
      const int64_t y = place[1] * s.stride[1] - s.padding[1] + j * s.dilation[1];
      const bool inside = z >= 0 && z < s.sides[0] && y >= 0 && y < s.sides[1];
      const int64_t pixel = ((image * s.sides[0] + z) * s.sides[1] + y) * s.sides[2] + left + first * step;
      visit(row, Line{pixel * s.channels, row + first * s.channels, inside ? end - first : 0});
    }
}

// Calls patch(its image, its place there) for the patches [first, end).
template <typename Visit>
void for_each_patch(const Patches& s, int64_t first, int64_t end, Visit&& patch) {
  const int64_t plane = s.grid[1] * s.grid[2];
  for (int64_t number = first; number < end; ++number) {
    const int64_t row = number / s.grid[2], layer = number / plane;
    patch(layer / s.grid[0], Patches::Sides{layer % s.grid[0], row % s.grid[1], number % s.grid[2]});
  }
}

}  // namespace

void gather_patches(const Patches& shape, int64_t first_patch, int64_t end_patch, const float* images,
                    float* patches, int64_t patch_step) {
  const int64_t row_size = shape.kernel[2] * shape.channels, step = shape.dilation[2] * shape.channels;
  float* patch = patches;
  for_each_patch(shape, first_patch, end_patch, [&](int64_t image, const Patches::Sides& place) {
    for_each_line(shape, image, place, [&](int64_t row, const Line& line) {
      const int64_t end = line.in_patch + line.pixels * shape.channels;
      if (line.pixels == 0) {
        std::fill_n(patch + row, row_size, 0.0F);
        return;
      }
      std::fill(patch + row, patch + line.in_patch, 0.0F);
      if (shape.dilation[2] == 1)
        std::copy_n(images + line.in_image, end - line.in_patch, patch + line.in_patch);
      else
        for (int64_t pixel = 0; pixel < line.pixels; ++pixel)
          std::copy_n(images + line.in_image + pixel * step, shape.channels,
                      patch + line.in_patch + pixel * shape.channels);
      std::fill(patch + end, patch + row + row_size, 0.0F);
    });
    patch += patch_step;
  });
}

void add_patches(const Patches& shape, int64_t first_patch, int64_t end_patch, const float* patches,
                 float* images) {
  const int64_t step = shape.dilation[2] * shape.channels;
  const float* patch = patches;
  for_each_patch(shape, first_patch, end_patch, [&](int64_t image, const Patches::Sides& place) {
    for_each_line(shape, image, place, [&](int64_t, const Line& line) {
      const bool adjacent = shape.dilation[2] == 1;
      const int64_t runs = adjacent ? 1 : line.pixels, run = (adjacent ? line.pixels : 1) * shape.channels;
      for (int64_t pixel = 0; pixel < runs; ++pixel) {
        float* const to = images + line.in_image + pixel * step;
        const float* const from = patch + line.in_patch + pixel * shape.channels;
        for (int64_t i = 0; i < run; ++i) to[i] += from[i];
      }
    });
    patch += shape.size();
  });
}

}  // namespace elbo
