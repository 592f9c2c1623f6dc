// Images from files, and resizing.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>

#include "elbo/base/options.h"
#include "elbo/convert/folder.h"

namespace elbo {

FileKind image_files();  // PNG, JPEG, BMP, PNM

// PNG, JPEG, BMP or PNM, by the file's first bytes: (channels, height, width) uint8. One channel is the luma
// of Rec. 601; transparent pixels are composited on white; photographs are turned upright, as their Exif data
// say; 16 bits become 8. Throws a usage Error that names the file if it is
// damaged or has more than 64 million pixels.
torch::Tensor read_image(const std::string& path, int64_t channels);

// Whether a file that read_image() has read has more than 8 bits for a value.
bool loses_bits(const std::string& path);

struct ImageSize {
  std::string size, fit = "crop";
  void bind(OptionTable& table);
  // The requested (height, width), or {0, 0} for none. Throws a usage Error for an invalid size.
  std::pair<int64_t, int64_t> pixels() const;
};

// Resized with an antialiasing triangle filter. crop first cuts the longer side to the target's aspect ratio,
// pad adds white, stretch does neither.
torch::Tensor fit_image(const torch::Tensor& image, int64_t height, int64_t width, const std::string& fit);

// Resizes images to the requested size. Without one, throws a usage Error for an image whose size differs
// from that of the first.
class OneSize {
 public:
  explicit OneSize(const ImageSize& options);
  torch::Tensor operator()(const torch::Tensor& image, const std::string& path);

 private:
  std::string fit_, first_;  // first_: the file that decided the size, "" if the user did
  int64_t height_ = 0, width_ = 0;
};

}  // namespace elbo
