// Pictures from PNG and JPEG files, and how they come to one size.
#pragma once
#include <torch/types.h>

#include <string>
#include <utility>

#include "elbo/base/options.h"

namespace elbo {

bool is_image_file(const std::string& path);  // by its ending: .png, .jpg, .jpeg

// (channels, height, width) bytes; 1 channel: the luma of Rec. 601; what is transparent lies over white.
// Throws a usage Error naming the file if it is damaged or has more than 64 million pixels.
torch::Tensor read_image(const std::string& path, int64_t channels);

struct ImageSize {
  std::string size, fit = "crop";
  void bind(OptionTable& table);
  // The (height, width) that is asked for, {0, 0} where none is. Throws a usage Error for what is not a size.
  std::pair<int64_t, int64_t> pixels() const;
};

// Resized with a triangle filter as wide as the reduction, so that nothing aliases; crop cuts the longer side
// to the wanted proportions first, pad adds white, stretch does neither.
torch::Tensor fit_image(const torch::Tensor& image, int64_t height, int64_t width, const std::string& fit);

// Brings picture after picture to the size that is asked for, or else refuses those that differ from the
// first, with a usage Error naming both.
class OneSize {
 public:
  explicit OneSize(const ImageSize& options);
  torch::Tensor operator()(const torch::Tensor& image, const std::string& path);

 private:
  std::string fit_, first_;  // first_: the file that gave the size, "" where the user did
  int64_t height_ = 0, width_ = 0;
};

}  // namespace elbo
