#include "elbo/nn/convolutions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include "elbo/base/error.h"

namespace elbo {
namespace {

// Kernel 4, stride 2, padding 1: every input contributes to the same number of outputs, which avoids
// checkerboard artefacts (Odena, Dumoulin & Olah 2016). A side of s becomes ⌊s/2⌋.
constexpr int64_t kernel = 4, stride = 2, padding = 1;

}  // namespace

std::vector<Plane> plane_sizes(const NetworkOptions& options, const std::vector<int64_t>& row) {
  if (row.size() != 3)
    usage_error(
        "network.kind=conv: needs images (channels, height, width), but the rows of this data set are ({}); "
        "use mlp",
        fmt::join(row, ", "));
  if (options.channels.empty())
    usage_error("network.channels: empty, but conv needs at least one layer; use network.kind=mlp");
  std::vector<Plane> planes = {{row[1], row[2]}};
  while (planes.size() <= options.channels.size()) {
    const auto [height, width] = planes.back();
    if (height < stride || width < stride)
      usage_error(
          "network.channels: {} layers, each of which halves the sides, do not fit images of {}×{}; expected "
          "at most {}",
          options.channels.size(), row[1], row[2], planes.size() - 1);
    planes.push_back({height / stride, width / stride});
  }
  return planes;
}

DownsamplingConvs::DownsamplingConvs(torch::nn::Module& owner, const NetworkOptions& options,
                                     const std::vector<int64_t>& row, RandomGenerator& init)
    : activation_(find_activation(options.activation)) {
  plane_sizes(options, row);  // throws where the row does not fit
  int64_t in = row[0];
  for (const int64_t out : options.channels) {
    convolutions_.push_back(
        owner.register_module(fmt::format("conv{}", convolutions_.size()),
                              std::make_shared<Conv2d>(in, out, kernel, stride, padding, init)));
    in = out;
  }
}

torch::Tensor DownsamplingConvs::forward(const torch::Tensor& x) const {
  torch::Tensor h = x;
  for (const auto& convolution : convolutions_) h = activation_(convolution->forward(h));
  return h;
}

UpsamplingConvs::UpsamplingConvs(torch::nn::Module& owner, const NetworkOptions& options,
                                 const std::vector<int64_t>& row, int64_t param_channels,
                                 RandomGenerator& init)
    : activation_(find_activation(options.activation)), param_channels_(param_channels) {
  const std::vector<Plane> planes = plane_sizes(options, row);
  for (size_t layer = options.channels.size(); layer-- > 0;) {
    const auto [height, width] = planes[layer];
    const int64_t out = layer > 0 ? options.channels[layer - 1] : param_channels * row[0];
    convolutions_.push_back(owner.register_module(
        fmt::format("conv{}", convolutions_.size()),
        std::make_shared<ConvTranspose2d>(options.channels[layer], out, kernel, stride, padding,
                                          Plane{height % stride, width % stride}, init)));
  }
}

torch::Tensor UpsamplingConvs::forward(const torch::Tensor& h) const {
  torch::Tensor image = h;
  for (const auto& convolution : convolutions_) image = convolution->forward(activation_(image));
  return image.unflatten(1, {param_channels_, image.size(1) / param_channels_});
}

}  // namespace elbo
