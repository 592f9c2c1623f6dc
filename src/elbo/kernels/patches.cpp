#include "elbo/kernels/patches.h"

#include <algorithm>

namespace elbo {
namespace {

// Calls visit(offset in the images, offset in the patch, elements) for each row of the patch at (row, column)
// that is inside of its image, and skip(offset in the patch, elements) for what is outside.
template <typename Visit, typename Skip>
void for_each_line(const Patches& s, int64_t image, int64_t row, int64_t column, Visit&& visit, Skip&& skip) {
  const int64_t left = column * s.stride - s.padding, line = s.kernel * s.channels;
  const int64_t first = std::clamp<int64_t>(-left, 0, s.kernel);
  const int64_t end = std::clamp<int64_t>(s.width - left, first, s.kernel);
  for (int64_t i = 0; i < s.kernel; ++i) {
    const int64_t y = row * s.stride - s.padding + i;
    if (y < 0 || y >= s.height) {
      skip(i * line, line);
      continue;
    }
    skip(i * line, first * s.channels);
    visit(((image * s.height + y) * s.width + left + first) * s.channels, i * line + first * s.channels,
          (end - first) * s.channels);
    skip(i * line + end * s.channels, (s.kernel - end) * s.channels);
  }
}

template <typename Visit>
void for_each_patch(const Patches& s, Visit&& visit) {
  int64_t number = 0;
  for (int64_t image = 0; image < s.images; ++image)
    for (int64_t row = 0; row < s.rows; ++row)
      for (int64_t column = 0; column < s.columns; ++column) visit(image, row, column, number++ * s.size());
}

}  // namespace

void gather_patches(const Patches& shape, const float* images, float* patches) {
  for_each_patch(shape, [&](int64_t image, int64_t row, int64_t column, int64_t at) {
    for_each_line(
        shape, image, row, column,
        [&](int64_t from, int64_t to, int64_t n) { std::copy_n(images + from, n, patches + at + to); },
        [&](int64_t to, int64_t n) { std::fill_n(patches + at + to, n, 0.0F); });
  });
}

void add_patches(const Patches& shape, const float* patches, float* images) {
  for_each_patch(shape, [&](int64_t image, int64_t row, int64_t column, int64_t at) {
    for_each_line(
        shape, image, row, column,
        [&](int64_t to, int64_t from, int64_t n) {
          for (int64_t i = 0; i < n; ++i) images[to + i] += patches[at + from + i];
        },
        [](int64_t, int64_t) {});
  });
}

}  // namespace elbo
