#include "nn/networks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <array>
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace elbo {
namespace {

// Kernel 4, stride 2, padding 1: every input takes part in the same number of outputs, so the decoder paints
// no checkerboard (Odena, Dumoulin & Olah 2016), and a side of s becomes ⌊s/2⌋.
constexpr int64_t kernel = 4, stride = 2, padding = 1;
constexpr int64_t smallest_conv_side = 16;

using Plane = std::array<int64_t, 2>;  // height, width

int64_t product(const std::vector<int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

std::vector<int64_t> concatenate(int64_t first, const std::vector<int64_t>& middle, int64_t last) {
  std::vector<int64_t> all = {first};
  all.insert(all.end(), middle.begin(), middle.end());
  all.push_back(last);
  return all;
}

std::vector<int64_t> reversed(const std::vector<int64_t>& sizes) { return {sizes.rbegin(), sizes.rend()}; }

// The sizes of the feature maps from the image inwards: one more than there are layers.
std::vector<Plane> plane_sizes(const NetworkOptions& options, const std::vector<int64_t>& row) {
  if (row.size() != 3)
    usage_error(
        "network.kind=conv: needs images (channels, height, width), the rows of this data set are ({}); use "
        "mlp",
        fmt::join(row, ", "));
  if (options.channels.empty())
    usage_error("network.channels: conv needs one layer at least; use network.kind=mlp");
  std::vector<Plane> planes = {{row[1], row[2]}};
  while (planes.size() <= options.channels.size()) {
    const auto [height, width] = planes.back();
    if (height < stride || width < stride)
      usage_error(
          "network.channels: {} layers, each of which halves the sides, do not fit images of {}×{}; at most "
          "{} do",
          options.channels.size(), row[1], row[2], planes.size() - 1);
    planes.push_back({height / stride, width / stride});
  }
  return planes;
}

torch::Tensor beside(const torch::Tensor& features, const torch::Tensor& further) {
  return further.defined() ? torch::cat({features, further}, 1) : features;
}

class MlpEncoder : public Encoder {
 public:
  MlpEncoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t outputs, int64_t further,
             Noise& init)
      : mlp_(register_module(
            "mlp", std::make_shared<Mlp>(concatenate(product(row) + further, options.hidden, outputs),
                                         find_activation(options.activation), init))) {}
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& further) override {
    return mlp_->forward(beside(x.flatten(1), further));
  }

 private:
  std::shared_ptr<Mlp> mlp_;
};

class MlpDecoder : public Decoder {
 public:
  MlpDecoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t latent, int64_t maps,
             Noise& init)
      : mlp_(register_module(
            "mlp", std::make_shared<Mlp>(concatenate(latent, reversed(options.hidden), maps * product(row)),
                                         find_activation(options.activation), init))),
        out_sizes_(row) {
    out_sizes_.insert(out_sizes_.begin(), maps);
  }
  torch::Tensor forward(const torch::Tensor& z) override { return mlp_->forward(z).unflatten(1, out_sizes_); }

 private:
  std::shared_ptr<Mlp> mlp_;
  std::vector<int64_t> out_sizes_;  // maps, …row
};

class ConvEncoder : public Encoder {
 public:
  ConvEncoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t outputs,
              int64_t further, Noise& init)
      : activation_(find_activation(options.activation)) {
    const std::vector<Plane> planes = plane_sizes(options, row);
    int64_t in = row[0];
    for (const int64_t out : options.channels) {
      convolutions_.push_back(
          register_module(fmt::format("conv{}", convolutions_.size()),
                          std::make_shared<Conv2d>(in, out, kernel, stride, padding, init)));
      in = out;
    }
    const auto [height, width] = planes.back();
    const std::vector<int64_t> widths = concatenate(in * height * width + further, options.hidden, outputs);
    mlp_ = register_module("mlp", std::make_shared<Mlp>(widths, activation_, init));
  }

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& further) override {
    torch::Tensor h = x;
    for (const auto& convolution : convolutions_) h = activation_(convolution->forward(h));
    return mlp_->forward(beside(h.flatten(1), further));
  }

 private:
  std::vector<std::shared_ptr<Conv2d>> convolutions_;
  std::shared_ptr<Mlp> mlp_;
  Activation activation_;
};

// The encoder's mirror image: what it halved with a remainder is restored by the output padding.
class ConvDecoder : public Decoder {
 public:
  ConvDecoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t latent, int64_t maps,
              Noise& init)
      : activation_(find_activation(options.activation)), maps_(maps) {
    const std::vector<Plane> planes = plane_sizes(options, row);
    innermost_ = {options.channels.back(), planes.back()[0], planes.back()[1]};
    mlp_ = register_module(
        "mlp", std::make_shared<Mlp>(concatenate(latent, reversed(options.hidden), product(innermost_)),
                                     activation_, init));
    for (size_t layer = options.channels.size(); layer-- > 0;) {
      const auto [height, width] = planes[layer];
      const int64_t out = layer > 0 ? options.channels[layer - 1] : maps * row[0];
      convolutions_.push_back(register_module(
          fmt::format("conv{}", convolutions_.size()),
          std::make_shared<ConvTranspose2d>(options.channels[layer], out, kernel, stride, padding,
                                            Plane{height % stride, width % stride}, init)));
    }
  }

  torch::Tensor forward(const torch::Tensor& z) override {
    torch::Tensor h = mlp_->forward(z).unflatten(1, innermost_);
    for (const auto& convolution : convolutions_) h = convolution->forward(activation_(h));
    return h.unflatten(1, {maps_, h.size(1) / maps_});
  }

 private:
  std::shared_ptr<Mlp> mlp_;
  std::vector<std::shared_ptr<ConvTranspose2d>> convolutions_;
  Activation activation_;
  std::vector<int64_t> innermost_;  // channels, height, width
  int64_t maps_;
};

}  // namespace

void NetworkOptions::bind(OptionTable& table) {
  table.add_choice("network.kind", kind, {"auto", "mlp", "conv"},
                   "encoder and decoder; auto: conv for images of at least 16×16, mlp otherwise");
  table.add("network.hidden", hidden, "widths of the dense layers, from the data inwards",
            Range::between(1, 1 << 30));
  table.add("network.channels", channels,
            "conv: channels of the layers that halve the image, from the data inwards",
            Range::between(1, 1 << 20));
  table.add_choice("network.activation", activation, activation_names(), "the function between two layers");
}

bool is_convolutional(const NetworkOptions& options, const std::vector<int64_t>& row) {
  if (options.kind != "auto") return options.kind == "conv";
  return row.size() == 3 && row[1] >= smallest_conv_side && row[2] >= smallest_conv_side;
}

Mlp::Mlp(const std::vector<int64_t>& widths, Activation activation, Noise& init) : activation_(activation) {
  for (size_t i = 0; i + 1 < widths.size(); ++i)
    layers_.push_back(
        register_module(fmt::format("dense{}", i), std::make_shared<Linear>(widths[i], widths[i + 1], init)));
}

torch::Tensor Mlp::forward(const torch::Tensor& x) {
  torch::Tensor h = layers_.front()->forward(x);
  for (size_t i = 1; i < layers_.size(); ++i) h = layers_[i]->forward(activation_(h));
  return h;
}

std::shared_ptr<Encoder> make_encoder(const NetworkOptions& options, const std::vector<int64_t>& row,
                                      int64_t outputs, Noise& init, int64_t further) {
  if (is_convolutional(options, row))
    return std::make_shared<ConvEncoder>(options, row, outputs, further, init);
  return std::make_shared<MlpEncoder>(options, row, outputs, further, init);
}

std::shared_ptr<Decoder> make_decoder(const NetworkOptions& options, const std::vector<int64_t>& row,
                                      int64_t latent, int64_t maps, Noise& init) {
  if (is_convolutional(options, row)) return std::make_shared<ConvDecoder>(options, row, latent, maps, init);
  return std::make_shared<MlpDecoder>(options, row, latent, maps, init);
}

}  // namespace elbo
