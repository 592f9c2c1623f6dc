#include "elbo/nn/convolutions.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/types.h>

#include <iterator>
#include <utility>

#include "elbo/base/error.h"

namespace elbo {
namespace {

// Kernel 4, stride 2, padding 1: every input contributes to the same number of outputs, which avoids
// checkerboard artefacts (Odena, Dumoulin & Olah 2016). A side of s becomes ⌊s/2⌋.
struct Halving {
  static constexpr int64_t kernel = 4, stride = 2, padding = 1;
};

}  // namespace

std::vector<Grid> grid_sizes(const NetworkOptions& options, const std::vector<int64_t>& row) {
  if (std::ssize(row) != 1 + options.spatial)
    usage_error(
        "network.kind=conv: needs images (channels, height, width), or volumes (channels, depth, height, "
        "width) of data.kind=volume, but the rows of this data set are ({}); use mlp",
        fmt::join(row, ", "));
  if (options.channels.empty())
    usage_error("network.channels: empty, but conv needs at least one layer; use network.kind=mlp");
  std::vector<Grid> grids = {Grid(row.begin() + 1, row.end())};
  while (grids.size() <= options.channels.size()) {
    Grid grid = grids.back();
    for (int64_t& side : grid) {
      if (side < Halving::stride)
        usage_error(
            "network.channels: {} layers, each of which halves the sides, do not fit {} of {}; expected at "
            "most {}",
            options.channels.size(), options.spatial == 2 ? "images" : "volumes",
            fmt::join(grids.front(), "×"), grids.size() - 1);
      side /= Halving::stride;
    }
    grids.push_back(std::move(grid));
  }
  return grids;
}

DownsamplingConvs::DownsamplingConvs(torch::nn::Module& owner, const NetworkOptions& options,
                                     const std::vector<int64_t>& row, RandomGenerator& init)
    : activation_(find_activation(options.activation)) {
  grid_sizes(options, row);  // throws where the row does not fit
  int64_t in = row[0];
  for (const int64_t out : options.channels) {
    convolutions_.push_back(
        owner.register_module(fmt::format("conv{}", convolutions_.size()),
                              std::make_shared<Convolution>(options.spatial, in, out, Halving::kernel,
                                                            Halving::stride, Halving::padding, init)));
    options.initial_weights().set_hidden(*convolutions_.back());
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
  const std::vector<Grid> grids = grid_sizes(options, row);
  for (size_t layer = options.channels.size(); layer-- > 0;) {
    Grid output_padding = grids[layer];
    for (int64_t& side : output_padding) side %= Halving::stride;
    const int64_t out = layer > 0 ? options.channels[layer - 1] : param_channels * row[0];
    convolutions_.push_back(owner.register_module(
        fmt::format("conv{}", convolutions_.size()),
        std::make_shared<TransposedConvolution>(options.channels[layer], out, Halving::kernel,
                                                Halving::stride, Halving::padding, std::move(output_padding),
                                                init)));
    if (layer > 0)
      options.initial_weights().set_hidden(*convolutions_.back());
    else
      options.initial_weights().set_head(*convolutions_.back());
  }
}

torch::Tensor UpsamplingConvs::forward(const torch::Tensor& h) const {
  torch::Tensor map = h;
  for (const auto& convolution : convolutions_) map = convolution->forward(activation_(map));
  return map.unflatten(1, {param_channels_, map.size(1) / param_channels_});
}

}  // namespace elbo
