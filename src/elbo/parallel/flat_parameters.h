// All parameters of a model in one contiguous buffer (a "flat parameter", as in ZeRO and FSDP), so that
// collectives and optimisers work on a few long ranges instead of many small tensors. The replicas of the
// model, one per worker, share the buffer: their parameters are views of it.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/base/phase.h"

namespace elbo {

// Shards, phases and the ranges of workers begin and end at multiples of this many elements (4 KiB of
// float32). So a vectorised kernel treats an element the same way in every partition.
constexpr int64_t block_elements = 1024;

// Part `index` of `parts` of a range of whole blocks, in whole blocks; may be empty.
IndexRange partition_blocks(IndexRange range, int64_t index, int64_t parts);

class FlatParameters {
 public:
  // One parameter. Offsets are multiples of 64 bytes, because some matrix kernels depend on the alignment.
  struct Item {
    std::string name;
    std::vector<int64_t> shape;
    int64_t offset = 0, elements = 0;
  };

  // Moves the parameters of `model` (float32, on one device) into the buffer, in order of registration.
  // Throws Error if a phase names an unknown module or its modules are not consecutive.
  FlatParameters(torch::nn::Module& model, const std::vector<Phase>& phases);

  // Makes the parameters of `replica` (the same architecture) views of the buffer.
  void bind(torch::nn::Module& replica) const;

  // (elements) float32; the padding between parameters stays zero.
  torch::Tensor& values() { return values_; }
  const torch::Tensor& values() const { return values_; }
  const std::vector<Item>& items() const { return items_; }
  IndexRange range(size_t phase) const { return ranges_[phase]; }  // whole blocks

  // The view of `item` in a flat tensor with the layout of this buffer from element `range_first` on.
  static torch::Tensor view(const torch::Tensor& flat, const Item& item, int64_t range_first = 0);

 private:
  std::vector<Item> items_;
  std::vector<IndexRange> ranges_;
  torch::Tensor values_;
};

// SHA-256 of the names, shapes and bytes of all parameters, in order of registration. It identifies a model
// bit for bit.
std::string fingerprint(const std::vector<std::pair<std::string, torch::Tensor>>& parameters);
std::string fingerprint(const FlatParameters& flat_parameters);

}  // namespace elbo
