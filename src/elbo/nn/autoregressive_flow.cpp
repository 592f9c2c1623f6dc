#include "elbo/nn/autoregressive_flow.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <iterator>

#include "elbo/nn/distributions.h"

namespace elbo {
namespace {

struct Affine {
  torch::Tensor shift, log_scale;  // (n, latent)
};

// Scales from e^-8 to e^8: neither they nor their inverse overflow, far from the data, too.
Affine affine_of(Made& layer, const torch::Tensor& z, const torch::Tensor& context) {
  const torch::Tensor output = layer.forward(z, context);
  return {output.select(1, 0), bounded(output.select(1, 1), -8, 8)};
}

}  // namespace

AutoregressiveFlow::AutoregressiveFlow(const FlowShape& shape, int64_t context, RandomGenerator& init) {
  layers_.reserve(static_cast<size_t>(shape.flows));
  for (int64_t i = 0; i < shape.flows; ++i)
    layers_.push_back(register_module(
        fmt::format("made{}", i),
        std::make_shared<Made>(shape.latent, context, 2, shape.hidden, shape.activation, init)));
}

FlowOutput AutoregressiveFlow::to_noise(const torch::Tensor& z, const torch::Tensor& context) {
  FlowOutput result{z, torch::zeros({z.size(0)}, z.options())};
  for (const auto& layer : layers_) {
    if (&layer != &layers_.front()) result.z = result.z.flip(1);
    const Affine affine = affine_of(*layer, result.z, context);
    result.z = (result.z - affine.shift) * (-affine.log_scale).exp();
    result.log_det = result.log_det - affine.log_scale.sum(1);
  }
  return result;
}

torch::Tensor AutoregressiveFlow::from_noise(const torch::Tensor& u, const torch::Tensor& context) {
  torch::Tensor z = u;
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    // What a pass computes for a dimension is right once all dimensions before it are.
    torch::Tensor found = torch::zeros_like(z);
    for (int64_t i = 0; i < z.size(1); ++i) {
      const Affine affine = affine_of(**layer, found, context);
      found.select(1, i).copy_(z.select(1, i) * affine.log_scale.select(1, i).exp() +
                               affine.shift.select(1, i));
    }
    z = std::next(layer) == layers_.rend() ? found : found.flip(1);
  }
  return z;
}

}  // namespace elbo
