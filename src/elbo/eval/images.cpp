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

std::string png_of(const torch::Tensor& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(pixels.size(0));
  image.width = static_cast<png_uint_32>(pixels.size(1));
  image.format = pixels.size(2) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  const auto write = [&](void* memory) {
    return png_image_write_to_memory(&image, memory, &size, 0, pixels.const_data_ptr<uint8_t>(), 0,
                                     nullptr) != 0;
  };
  std::string bytes;
  if (write(nullptr)) {
    bytes.resize(size);
    if (write(bytes.data())) {
      bytes.resize(size);
      return bytes;
    }
  }
  fail("a PNG image of {} by {} pixels cannot be made: {}", pixels.size(1), pixels.size(0), image.message);
}

void write_png(const std::filesystem::path& path, const torch::Tensor& pixels) {
  write_file(path, png_of(pixels));
}

}  // namespace elbo
