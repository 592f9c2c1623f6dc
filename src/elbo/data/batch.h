// The input of a model: a microbatch of rows, and the shape of a data set.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace elbo {

struct Batch {
  torch::Tensor x;      // (b, …) float32, after the data set's transform; 0 where missing; tokens as ids
  torch::Tensor label;  // (b) int64 or (b, k) float32; undefined if the data set has none
  torch::Tensor ids;    // (b) int64, row numbers within the split
  torch::Tensor
      length{};  // (b) int64, steps of a sequence before the padding; undefined if there is no padding
  torch::Tensor observed{};  // (b, …) bool, false where x is missing; undefined unless data.missing=mask

  int64_t size() const { return x.size(0); }
  // What an encoder sees, (b, …DataShape::encoder_row()): x, and with a mask also the mask, after it
  // along the first dimension of a row: as further features or channels.
  torch::Tensor encoder_input() const;
  // The batch with other values, which are 0 where x is missing.
  Batch with_x(const torch::Tensor& values) const;
  // x with NaN where it is missing, for models of sequences.
  torch::Tensor marked() const;
  // On the device, all but ids. From pinned memory, the copy to a GPU does not wait.
  Batch to(torch::Device device) const {
    return each([&](const torch::Tensor& tensor) {
      return tensor.to(device, /*non_blocking=*/device.is_cuda() && tensor.is_pinned());
    });
  }
  // In memory that GPUs can read, all but ids. There must be a GPU.
  Batch pinned() const {
    return each([](const torch::Tensor& tensor) { return tensor.pin_memory(); });
  }

 private:
  template <typename Function>
  Batch each(Function&& function) const {
    const auto of = [&](const torch::Tensor& tensor) { return tensor.defined() ? function(tensor) : tensor; };
    return {of(x), of(label), ids, of(length), of(observed)};
  }
};

// Properties of a data set that are known before rows are read. Equal on all ranks.
struct DataShape {
  // Shape of a row: (channels, height, width), (channels, depth, height, width) for volumes, (features),
  // (time, features), (time) for tokens, or (time, channels, height, width) for video.
  std::vector<int64_t> x;
  // image | volume | tabular | sequence | tokens | video | audio | interactions | counts | ""
  std::string kind;
  bool integer_x = false;         // stored as integers
  bool bytes_x = false;           // stored as unsigned bytes
  bool in_unit_interval = false;  // x, after its transform, is in [0, 1]
  bool masked = false;            // batches have a mask of observed elements (data.missing=mask)
  int64_t classes = 0;            // class labels are 0 … classes-1; 0: no class labels
  int64_t label_features = 0;     // k of continuous labels (N, k); 0: no continuous labels
  int64_t rows = 0;               // of the training split
  int64_t tokens = 0;             // size of the vocabulary: x holds 0 … tokens-1; 0: x does not hold tokens
  std::string axes{};             // of images and volumes, as stored: NHWC, NHW, …; "": as in x
  std::string class_names{};      // one a line, by class; "": classes have none
  std::string label_problem{};    // why labels of the file are left out; "": they are not

  int64_t features() const {
    int64_t product = 1;
    for (const int64_t size : x) product *= size;
    return product;
  }
  // The shape of Batch::encoder_input().
  std::vector<int64_t> encoder_row() const;
  bool has_labels() const { return classes > 0 || label_features > 0; }
  bool is_image() const { return kind == "image" && x.size() == 3; }
  bool is_volume() const { return kind == "volume" && x.size() == 4; }
  bool is_video() const { return x.size() == 4 && kind != "volume"; }
  bool is_unit_image() const { return (is_image() || is_volume()) && in_unit_interval; }
  bool has_pixels() const { return is_image() || is_volume() || is_video(); }
  // Dimensions of the grid of pixels after the channels: 3 for volumes, 2 for images and the frames of video.
  int64_t spatial() const { return is_volume() ? 3 : 2; }
  int64_t channels() const {  // 0 without pixels
    return has_pixels() ? x[x.size() - 1 - static_cast<size_t>(spatial())] : 0;
  }
};

}  // namespace elbo
