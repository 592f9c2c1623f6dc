// Corruptions of the encoder's input, for denoising models.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/base/random.h"

namespace elbo {

struct CorruptionOptions {
  std::string kind = "gaussian";  // gaussian | masking | salt_and_pepper | blur
  // gaussian: σ in units of x; masking, salt_and_pepper: fraction of elements; blur: σ in pixels
  double level = 0.3;
  void bind(OptionTable& table);  // under model.corruption*
};

// Throws a usage Error where the options do not fit rows of this shape: blur needs images, and a fraction is
// at most 1.
void check_corruption(const CorruptionOptions& options, const std::vector<int64_t>& row);

// x (b, …row) → the same shape. masking sets elements to 0; salt_and_pepper sets them to 0 or 1 with equal
// probability (Vincent et al. 2010, section 3.3); blur is deterministic.
torch::Tensor corrupt(const torch::Tensor& x, const CorruptionOptions& options, RandomGenerator& noise);

}  // namespace elbo
