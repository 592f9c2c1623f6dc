#include "elbo/nn/networks.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <utility>

#include "elbo/nn/convolutions.h"

namespace elbo {
namespace {

constexpr int64_t smallest_image_side = 16, smallest_volume_side = 8;  // for auto

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

torch::Tensor with_context(const torch::Tensor& features, const torch::Tensor& context) {
  return context.defined() ? torch::cat({features, context}, 1) : features;
}

class MlpEncoder : public Encoder {
 public:
  MlpEncoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t outputs, int64_t context,
             RandomGenerator& init, Outputs kind)
      : Encoder(options.input),
        mlp_(register_module(
            "mlp", std::make_shared<Mlp>(concatenate(product(row) + context, options.hidden, outputs),
                                         find_activation(options.activation), init))) {
    const InitialWeights weights = options.initial_weights();
    mlp_->initialize(weights, kind == Outputs::features ? weights.hidden : weights.head);
  }
  torch::Tensor outputs(const torch::Tensor& features) override { return mlp_->outputs(features); }

 private:
  torch::Tensor features_of_input(const torch::Tensor& input, const torch::Tensor& context) override {
    return mlp_->features(with_context(input.flatten(1), context));
  }

  std::shared_ptr<Mlp> mlp_;
};

class MlpDecoder : public Decoder {
 public:
  MlpDecoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t latent,
             int64_t param_channels, RandomGenerator& init)
      : mlp_(register_module("mlp", std::make_shared<Mlp>(concatenate(latent, reversed(options.hidden),
                                                                      param_channels * product(row)),
                                                          find_activation(options.activation), init))),
        out_sizes_(row) {
    const InitialWeights weights = options.initial_weights();
    mlp_->initialize(weights, weights.head);
    out_sizes_.insert(out_sizes_.begin(), param_channels);
  }
  torch::Tensor forward(const torch::Tensor& z) override { return mlp_->forward(z).unflatten(1, out_sizes_); }

 private:
  std::shared_ptr<Mlp> mlp_;
  std::vector<int64_t> out_sizes_;  // param_channels, …row
};

class ConvEncoder : public Encoder {
 public:
  ConvEncoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t outputs,
              int64_t context, RandomGenerator& init, Outputs kind)
      : Encoder(options.input), down_(*this, options, row, init) {
    const int64_t features = options.channels.back() * product(grid_sizes(options, row).back());
    mlp_ =
        register_module("mlp", std::make_shared<Mlp>(concatenate(features + context, options.hidden, outputs),
                                                     find_activation(options.activation), init));
    const InitialWeights weights = options.initial_weights();
    mlp_->initialize(weights, kind == Outputs::features ? weights.hidden : weights.head);
  }

  torch::Tensor outputs(const torch::Tensor& features) override { return mlp_->outputs(features); }

 private:
  torch::Tensor features_of_input(const torch::Tensor& input, const torch::Tensor& context) override {
    return mlp_->features(with_context(down_.forward(input).flatten(1), context));
  }

  DownsamplingConvs down_;
  std::shared_ptr<Mlp> mlp_;
};

// The encoder's mirror image.
class ConvDecoder : public Decoder {
 public:
  ConvDecoder(const NetworkOptions& options, const std::vector<int64_t>& row, int64_t latent,
              int64_t param_channels, RandomGenerator& init)
      : innermost_(innermost(options, row)),
        mlp_(register_module(
            "mlp", std::make_shared<Mlp>(concatenate(latent, reversed(options.hidden), product(innermost_)),
                                         find_activation(options.activation), init))),
        up_(*this, options, row, param_channels, init) {
    const InitialWeights weights = options.initial_weights();
    mlp_->initialize(weights, weights.hidden);
  }

  torch::Tensor forward(const torch::Tensor& z) override {
    return up_.forward(mlp_->forward(z).unflatten(1, innermost_));
  }

 private:
  static std::vector<int64_t> innermost(const NetworkOptions& options, const std::vector<int64_t>& row) {
    std::vector<int64_t> sizes = grid_sizes(options, row).back();
    sizes.insert(sizes.begin(), options.channels.back());
    return sizes;
  }

  std::vector<int64_t> innermost_;  // channels, …grid
  std::shared_ptr<Mlp> mlp_;
  UpsamplingConvs up_;
};

}  // namespace

void NetworkOptions::bind(OptionTable& table) {
  table.add_choice(
      "network.kind", kind, {"auto", "mlp", "conv"},
      "architecture of encoder and decoder; auto: conv for images of at least 16×16 and volumes of at least "
      "8×8×8, mlp otherwise");
  table.add("network.hidden", hidden,
            "widths of the dense layers, from the data to z; the decoder mirrors them; empty: none, the "
            "networks are linear",
            Range::between(1, 1 << 30));
  table.add(
      "network.channels", channels,
      "conv: channels of the layers, each of which halves the sides of the image or volume, from the data "
      "to z",
      Range::between(1, 1 << 20));
  table.add_choice("network.activation", activation, activation_names(),
                   "activation function between two layers");
  table.add_choice(
      "network.input", input, {"auto", "raw", "log1p", "l2"},
      "x as the encoder sees it, while the likelihood is that of x itself; raw: x; log1p: log(1 + x), "
      "with the sign of x; l2: x divided by the norm of the row, as in Mult-VAE (Liang et al. 2018); "
      "auto: log1p for poisson, negative_binomial and their zero-inflated forms, raw otherwise");
  table.add_choice("network.init", init, {"pytorch", "he"},
                   "initial weights of encoders, decoders and levels of z, uniform around 0; pytorch: "
                   "weights and biases between "
                   "-1/√fan_in and 1/√fan_in, which deep networks learn from slowly; he: biases of 0, and "
                   "weights with the "
                   "standard deviation √2/√fan_in (He et al. 2015; 1/√fan_in for tanh and softplus), a tenth "
                   "of it in layers that "
                   "give the parameters of q(z|x), p(z) and p(x|z); recurrent networks, discriminators, "
                   "flows and the networks of "
                   "vq_vae begin in the first way");
}

InitialWeights NetworkOptions::initial_weights() const {
  constexpr double of_head = 0.1;  // distributions begin near N(0, I), and pixels near 1/2
  const double gain = activation_gain(activation);
  return {.scaled = init == "he", .hidden = gain, .head = of_head * gain};
}

torch::Tensor network_input(const std::string& kind, const torch::Tensor& x) {
  if (kind == "log1p") return x.sign() * x.abs().log1p();
  if (kind != "l2") return x;
  constexpr double smallest_norm = 1e-12;  // of rows of zeros
  const torch::Tensor flat = x.flatten(1);
  return (flat / flat.square().sum(1, /*keepdim=*/true).sqrt().clamp_min(smallest_norm)).view_as(x);
}

bool is_convolutional(const NetworkOptions& options, const std::vector<int64_t>& row) {
  if (options.kind != "auto") return options.kind == "conv";
  const int64_t smallest = options.spatial == 3 ? smallest_volume_side : smallest_image_side;
  return std::ssize(row) == 1 + options.spatial &&
         *std::ranges::min_element(row.begin() + 1, row.end()) >= smallest;
}

Mlp::Mlp(const std::vector<int64_t>& widths, Activation activation, RandomGenerator& init)
    : activation_(activation) {
  for (size_t i = 0; i + 1 < widths.size(); ++i)
    layers_.push_back(
        register_module(fmt::format("dense{}", i), std::make_shared<Linear>(widths[i], widths[i + 1], init)));
}

torch::Tensor Mlp::forward(const torch::Tensor& x) { return outputs(features(x)); }

torch::Tensor Mlp::features(const torch::Tensor& x) {
  torch::Tensor h = x;
  for (size_t i = 0; i + 1 < layers_.size(); ++i) h = activation_(layers_[i]->forward(h));
  return h;
}

void Mlp::initialize(const InitialWeights& weights, double last) {
  if (!weights.scaled) return;
  for (const std::shared_ptr<Linear>& layer : layers_)
    layer->scale_weights(layer == layers_.back() ? last : weights.hidden);
}

torch::Tensor Mlp::outputs(const torch::Tensor& features) { return layers_.back()->forward(features); }

std::vector<Linear::Parameters> Mlp::use() const {
  std::vector<Linear::Parameters> all;
  all.reserve(layers_.size());
  for (const std::shared_ptr<Linear>& layer : layers_) all.push_back(layer->use());
  return all;
}

std::shared_ptr<Encoder> make_encoder(const NetworkOptions& options, const std::vector<int64_t>& row,
                                      int64_t outputs, RandomGenerator& init, int64_t context, Outputs kind) {
  if (is_convolutional(options, row))
    return std::make_shared<ConvEncoder>(options, row, outputs, context, init, kind);
  return std::make_shared<MlpEncoder>(options, row, outputs, context, init, kind);
}

std::shared_ptr<Decoder> make_decoder(const NetworkOptions& options, const std::vector<int64_t>& row,
                                      int64_t latent, int64_t param_channels, RandomGenerator& init) {
  if (is_convolutional(options, row))
    return std::make_shared<ConvDecoder>(options, row, latent, param_channels, init);
  return std::make_shared<MlpDecoder>(options, row, latent, param_channels, init);
}

}  // namespace elbo
