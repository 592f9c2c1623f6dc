#include "elbo/eval/images.h"

#include <png.h>
#include <torch/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "elbo/base/error.h"
#include "elbo/base/file.h"

namespace elbo {
namespace {

constexpr int64_t border = 2;       // pixels
constexpr double background = 0.5;  // grey, which differs from the background of most images

}  // namespace

torch::Tensor image_grid(const torch::Tensor& images, int64_t columns) {
  const int64_t n = images.size(0), channels = images.size(1), height = images.size(2),
                width = images.size(3);
  const int64_t across = std::min(columns, n), down = (n + across - 1) / across;
  torch::Tensor grid = torch::full(
      {channels, down * (height + border) + border, across * (width + border) + border}, background);
  for (int64_t i = 0; i < n; ++i)
    grid.narrow(1, border + i / across * (height + border), height)
        .narrow(2, border + i % across * (width + border), width)
        .copy_(images[i]);
  return (grid.nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch::kUInt8).permute({1, 2, 0}).contiguous();
}

void write_png(const std::filesystem::path& path, const torch::Tensor& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(pixels.size(0));
  image.width = static_cast<png_uint_32>(pixels.size(1));
  image.format = pixels.size(2) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  AtomicFile file(path);
  if (png_image_write_to_file(&image, file.temporary_path().c_str(), 0, pixels.const_data_ptr<uint8_t>(), 0,
                              nullptr) == 0)
    fail("{}: cannot be written: {}", path.string(), image.message);
  file.commit();
}

}  // namespace elbo
