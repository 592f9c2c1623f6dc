// Grids of images, and PNG files.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace elbo {

// images (n, channels, height, width) with 1 or 3 channels, values clamped to [0, 1] → a grid of `columns`
// images, with borders of two pixels: (height', width', channels) uint8.
torch::Tensor image_grid(const torch::Tensor& images, int64_t columns);

// pixels (height, width, channels) uint8, 1 or 3 channels → the bytes of a PNG file. Throws Error.
std::string png_of(const torch::Tensor& pixels);

// The same as a file. The file appears whole or not at all; throws
// Error.
void write_png(const std::filesystem::path& path, const torch::Tensor& pixels);

}  // namespace elbo
