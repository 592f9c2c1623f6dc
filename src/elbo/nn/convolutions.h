// The convolutions that halve an image's sides, and their mirror image: what convolutional networks share,
// whatever lies between the two.
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

// The sizes of the feature maps from the image inwards: one more than there are layers. Throws a usage Error
// for rows that are not (channels, height, width) and for images too small for the depth.
std::vector<Plane> plane_sizes(const NetworkOptions& options, const std::vector<int64_t>& row);

// Strided convolutions with an activation after each, which `owner` registers as conv0, conv1, ….
class Halvings {
 public:
  Halvings(torch::nn::Module& owner, const NetworkOptions& options, const std::vector<int64_t>& row,
           RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x) const;  // (b, …row) → (b, channels.back(), …innermost plane)

 private:
  std::vector<std::shared_ptr<Conv2d>> convolutions_;
  Activation activation_;
};

// Transposed convolutions with an activation before each, likewise: what was halved with a remainder is
// restored by the output padding.
class Doublings {
 public:
  Doublings(torch::nn::Module& owner, const NetworkOptions& options, const std::vector<int64_t>& row,
            int64_t param_channels, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& h) const;  // what Halvings gives → (b, maps, …row)

 private:
  std::vector<std::shared_ptr<ConvTranspose2d>> convolutions_;
  Activation activation_;
  int64_t maps_;
};

}  // namespace elbo
