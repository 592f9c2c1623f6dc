// The transform of rows before the networks see them, and its inverse for results: x ↦ (f(x) - shift) /
// scale, where f is log(1 + x) for log1p and the identity for others. It is fitted on the training rows
// (run/normalization.h) and belongs to the model, whose buffers hold shift and scale.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/data/batch.h"

namespace elbo {

struct Transform {
  // none; bytes: 0…255 to [0, 1]; unit: the least to the largest value of the training rows to [0, 1];
  // standardize: mean 0 and standard deviation 1; robust: by the median and the quartiles; log1p.
  std::string kind = "none";
  // float32, of fitted_shape(); undefined for kinds that have nothing to fit.
  torch::Tensor shift{}, scale{};

  bool is_identity() const { return kind == "none"; }
  torch::Tensor apply(
      const torch::Tensor& x) const;  // (n, …row) → (n, …row), on the device of shift and scale
  torch::Tensor undo(const torch::Tensor& y) const;  // the inverse
};

// The kinds, as values of data.normalize besides auto.
std::vector<std::string> transform_kinds();

// The shape of shift and scale, which broadcasts to rows; empty for kinds that have nothing to fit. unit has
// one value for all; the others have one for each column of a table, feature of a sequence, or channel of
// images and volumes. spatial: the dimensions after the channels (DataShape::spatial()).
std::vector<int64_t> fitted_shape(const std::string& kind, const std::vector<int64_t>& row,
                                  int64_t spatial = 2);

}  // namespace elbo
