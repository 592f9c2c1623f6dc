// Ways to spoil rows, for models that learn to restore them.
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
  double level = 0.3;  // gaussian: σ in the unit of x; masking, salt_and_pepper: share of elements; blur: σ
                       // in pixels
  void bind(OptionTable& table);  // under model.corruption*
};

// Throws a usage Error for what rows of this shape cannot suffer: blur needs images, shares are at most 1.
void check_corruption(const CorruptionOptions& options, const std::vector<int64_t>& row);

// x (b, …row) → likewise. Masked elements are 0, salt and pepper 1 and 0 with equal probability (Vincent et
// al. 2010, section 3.3); blur is the only one without chance.
torch::Tensor corrupt(const torch::Tensor& x, const CorruptionOptions& options, RandomGenerator& noise);

}  // namespace elbo
