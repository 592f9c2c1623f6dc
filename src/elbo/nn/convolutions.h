// The strided convolutions of convolutional encoders and the transposed convolutions of their decoders.
#pragma once
#include <torch/nn/module.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/layers.h"
#include "elbo/nn/networks.h"

namespace elbo {

using Plane = std::array<int64_t, 2>;  // height, width

// The sizes of the feature maps, from the image inwards: layers + 1 of them. Throws a usage Error for rows
// that are not (channels, height, width) and for images too small for the depth.
std::vector<Plane> plane_sizes(const NetworkOptions& options, const std::vector<int64_t>& row);

// Strided convolutions with an activation after each. `owner` registers them as conv0, conv1, ….
class DownsamplingConvs {
 public:
  DownsamplingConvs(torch::nn::Module& owner, const NetworkOptions& options, const std::vector<int64_t>& row,
                    RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x) const;  // (b, …row) → (b, channels.back(), …innermost plane)

 private:
  std::vector<std::shared_ptr<Conv2d>> convolutions_;
  Activation activation_;
};

// Transposed convolutions with an activation before each, registered in the same way. Output padding restores
// odd sides.
class UpsamplingConvs {
 public:
  UpsamplingConvs(torch::nn::Module& owner, const NetworkOptions& options, const std::vector<int64_t>& row,
                  int64_t param_channels, RandomGenerator& init);
  torch::Tensor forward(
      const torch::Tensor& h) const;  // (b, channels.back(), …innermost plane) → (b, param_channels, …row)

 private:
  std::vector<std::shared_ptr<ConvTranspose2d>> convolutions_;
  Activation activation_;
  int64_t param_channels_;
};

}  // namespace elbo
