#include "elbo/nn/corruption.h"

#include <torch/types.h>

#include <cmath>

#include "elbo/base/error.h"

namespace elbo {
namespace {

// A separable Gaussian filter of radius 3σ with replication padding.
torch::Tensor blurred(const torch::Tensor& images, double sigma) {
  const auto radius = static_cast<int64_t>(std::ceil(3 * sigma));
  const torch::Tensor at = torch::arange(-radius, radius + 1, images.options());
  torch::Tensor weights = (-0.5 * (at / sigma).square()).exp();
  weights = weights / weights.sum();
  const torch::Tensor planes = images.flatten(0, 1).unsqueeze(1);  // (b·channels, 1, height, width)
  const torch::Tensor padded = torch::replication_pad2d(planes, {radius, radius, radius, radius});
  const torch::Tensor rows = torch::conv2d(padded, weights.view({1, 1, -1, 1}));
  return torch::conv2d(rows, weights.view({1, 1, 1, -1})).view(images.sizes());
}

}  // namespace

void CorruptionOptions::bind(OptionTable& table) {
  table.add_choice("model.corruption", kind, {"gaussian", "masking", "salt_and_pepper", "blur"},
                   "corruption of the encoder's input in training");
  table.add("model.corruption_level", level,
            "gaussian: standard deviation in the unit of x; masking, salt_and_pepper: fraction of the "
            "elements; blur: standard deviation in pixels",
            Range::above(0));
}

void check_corruption(const CorruptionOptions& options, const std::vector<int64_t>& row) {
  if (options.kind == "blur" && row.size() != 3)
    usage_error("model.corruption=blur: needs images (channels, height, width); use gaussian or masking");
  const bool is_fraction = options.kind == "masking" || options.kind == "salt_and_pepper";
  if (is_fraction && options.level > 1)
    usage_error("model.corruption_level={:g}: a fraction for {}; expected at most 1", options.level,
                options.kind);
}

torch::Tensor corrupt(const torch::Tensor& x, const CorruptionOptions& options, RandomGenerator& noise) {
  if (options.kind == "gaussian") return x + options.level * noise.normal(x.sizes());
  if (options.kind == "blur") return blurred(x, options.level);
  const torch::Tensor hit = noise.uniform(x.sizes()) < options.level;
  if (options.kind == "masking") return x.masked_fill(hit, 0);
  return torch::where(hit, (noise.uniform(x.sizes()) < 0.5).to(x.scalar_type()), x);
}

}  // namespace elbo
