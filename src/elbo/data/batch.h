// What a model sees of the data: one microbatch, and what all rows have in common.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace elbo {

struct Batch {
  torch::Tensor x;         // (b, …) float32; images scaled to [0, 1], tokens as their numbers
  torch::Tensor label;     // (b) int64 or (b, k) float32; undefined where the data set has none
  torch::Tensor ids;       // (b) int64, row numbers within the split
  torch::Tensor length{};  // (b) int64, how many steps of a sequence count; undefined where all do

  int64_t size() const { return x.size(0); }
  Batch to(torch::Device device) const {
    const auto moved = [&](const torch::Tensor& part) { return part.defined() ? part.to(device) : part; };
    return {moved(x), moved(label), ids, moved(length)};
  }
};

// What is known of a data set before a row is read. Equal on all ranks.
struct DataShape {
  // One row: (channels, height, width), (features), (time, features), (time) for tokens, or (time, channels,
  // height, width) for video.
  std::vector<int64_t> x;
  std::string kind;            // image | tabular | sequence | tokens | audio | interactions | "" (unknown)
  bool integer_x = false;      // stored as integers
  bool bytes_x = false;        // as bytes: x is scaled from 0…255 to [0, 1] but for tokens
  int64_t classes = 0;         // labels are 0 … classes-1; 0 where there are none
  int64_t label_features = 0;  // k for continuous labels (N, k)
  int64_t rows = 0;            // of the training split
  int64_t tokens = 0;          // size of the vocabulary; x holds 0 … tokens-1. 0 where x holds no tokens

  int64_t features() const {
    int64_t product = 1;
    for (const int64_t size : x) product *= size;
    return product;
  }
  bool has_labels() const { return classes > 0 || label_features > 0; }
  bool is_image() const { return kind == "image" && x.size() == 3; }
};

}  // namespace elbo
