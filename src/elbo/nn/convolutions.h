// The strided convolutions of convolutional encoders and the transposed convolutions of their decoders, for
// images and volumes.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/layers.h"
#include "elbo/nn/networks.h"

namespace elbo {

// The sides of a feature map: (height, width), of volumes (depth, height, width).
using Grid = std::vector<int64_t>;

// Those of all feature maps, from the row inwards: layers + 1 of them. Throws a usage Error for rows that are
// not (channels, …sides), for sides too small for the number of layers, and for volumes with portable
// kernels.
std::vector<Grid> grid_sizes(const NetworkOptions& options, const std::vector<int64_t>& row);

// Strided convolutions with an activation after each. `owner` registers them as conv0, conv1, ….
class DownsamplingConvs {
 public:
  DownsamplingConvs(torch::nn::Module& owner, const NetworkOptions& options, const std::vector<int64_t>& row,
                    RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x) const;  // (b, …row) → (b, channels.back(), …innermost grid)

 private:
  std::vector<std::shared_ptr<Convolution>> convolutions_;
  Activation activation_;
};

// Transposed convolutions with an activation before each, registered in the same way. Output padding restores
// odd sides.
class UpsamplingConvs {
 public:
  UpsamplingConvs(torch::nn::Module& owner, const NetworkOptions& options, const std::vector<int64_t>& row,
                  int64_t param_channels, RandomGenerator& init);
  torch::Tensor forward(
      const torch::Tensor& h) const;  // (b, channels.back(), …innermost grid) → (b, param_channels, …row)

 private:
  std::vector<std::shared_ptr<TransposedConvolution>> convolutions_;
  Activation activation_;
  int64_t param_channels_;
};

}  // namespace elbo
