// All parameters of a model in one contiguous buffer, so that ranks exchange and optimisers update a few long
// ranges instead of many small tensors. Replicas of the model (one a worker) share the buffer: their
// parameters are views of it.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/parallel/phase.h"

namespace elbo {

// Slices, phases and sub-ranges of workers begin and end at multiples of this many elements (4 KiB of
// float32), so that a vectorised kernel meets the same tails whoever computes a range.
constexpr int64_t block_elements = 1024;

// The share of `index` among `owners` of a range of whole blocks, perhaps none.
IndexRange block_share(IndexRange range, int64_t index, int64_t owners);

class FlatParameters {
 public:
  // Where a parameter lies. Parameters begin at multiples of 64 bytes: some matrix kernels depend on
  // alignment.
  struct Item {
    std::string name;
    std::vector<int64_t> shape;
    int64_t offset = 0, elements = 0;
  };

  // Lays out the parameters in order of registration and moves their values in. Throws Error where a phase
  // names an unknown module or its modules do not follow one another. Parameters are float32 on one device.
  FlatParameters(torch::nn::Module& model, const std::vector<Phase>& phases);

  // Makes the parameters of `replica` (the same architecture) views of the buffer.
  void bind(torch::nn::Module& replica) const;

  torch::Tensor& values() { return values_; }  // (elements) float32; the gaps between parameters stay zero
  const torch::Tensor& values() const { return values_; }
  const std::vector<Item>& items() const { return items_; }
  IndexRange range(size_t phase) const { return ranges_[phase]; }  // whole blocks

  // The part of a flat buffer laid out like this arena's `range` that belongs to `item`.
  static torch::Tensor view(const torch::Tensor& flat, const Item& item, int64_t range_first = 0);

 private:
  std::vector<Item> items_;
  std::vector<IndexRange> ranges_;
  torch::Tensor values_;
};

// SHA-256 over the names, shapes and bytes of all parameters in order of registration: equal exactly where
// models are.
std::string fingerprint(const std::vector<std::pair<std::string, torch::Tensor>>& parameters);
std::string fingerprint(const FlatParameters& flat_parameters);

}  // namespace elbo
