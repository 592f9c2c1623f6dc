// Patches of images (kernels/patches.h).
#include "elbo/kernels/cuda/tasks.h"

// An element of a patch is one of its image, or 0 outside of it.
extern "C" __global__ void gather_patches(elbo::PatchShape s, const float* images, float* patches) {
  const int64_t size = s.kernel[0] * s.kernel[1] * s.kernel[2] * s.channels;
  const int64_t all = s.images * s.grid[0] * s.grid[1] * s.grid[2] * size;
  for (int64_t i = elbo::first_element(); i < all; i += elbo::all_threads()) {
    int64_t in_patch = i % size, patch = i / size, places[3];
    const int64_t channel = in_patch % s.channels;
    in_patch /= s.channels;
    bool inside = true;
    for (int d = 2; d >= 0; --d) {
      places[d] = patch % s.grid[d] * s.stride[d] - s.padding[d] + in_patch % s.kernel[d] * s.dilation[d];
      inside = inside && places[d] >= 0 && places[d] < s.sides[d];
      patch /= s.grid[d];
      in_patch /= s.kernel[d];
    }
    const int64_t pixel =
        ((patch * s.sides[0] + places[0]) * s.sides[1] + places[1]) * s.sides[2] + places[2];
    patches[i] = inside ? images[pixel * s.channels + channel] : 0.0F;
  }
}

namespace elbo {

// The number of the patch whose element `in_kernel` is at `place`, or -1 where there is none.
__device__ inline int64_t patch_at(const PatchShape& s, int d, int64_t place, int64_t in_kernel) {
  const int64_t begin = place + s.padding[d] - in_kernel * s.dilation[d];
  if (begin < 0 || begin % s.stride[d] != 0 || begin / s.stride[d] >= s.grid[d]) return -1;
  return begin / s.stride[d];
}

}  // namespace elbo

// Each number of an image adds the patches that contain it, in their order: a later patch has it at a place
// further to the front.
extern "C" __global__ void add_patches(elbo::PatchShape s, const float* patches, float* images) {
  const int64_t all = s.images * s.sides[0] * s.sides[1] * s.sides[2] * s.channels;
  for (int64_t i = elbo::first_element(); i < all; i += elbo::all_threads()) {
    const int64_t channel = i % s.channels;
    int64_t image = i / s.channels, place[3];
    for (int d = 2; d >= 0; --d) {
      place[d] = image % s.sides[d];
      image /= s.sides[d];
    }
    float sum = images[i];
    for (int64_t z = s.kernel[0] - 1; z >= 0; --z) {
      const int64_t front = elbo::patch_at(s, 0, place[0], z);
      if (front < 0) continue;
      for (int64_t y = s.kernel[1] - 1; y >= 0; --y) {
        const int64_t up = elbo::patch_at(s, 1, place[1], y);
        if (up < 0) continue;
        for (int64_t x = s.kernel[2] - 1; x >= 0; --x) {
          const int64_t left = elbo::patch_at(s, 2, place[2], x);
          if (left < 0) continue;
          const int64_t patch = ((image * s.grid[0] + front) * s.grid[1] + up) * s.grid[2] + left;
          sum += patches[(((patch * s.kernel[0] + z) * s.kernel[1] + y) * s.kernel[2] + x) * s.channels +
                         channel];
        }
      }
    }
    images[i] = sum;
  }
}
