// Encoders from a row of the data set to a vector, and decoders back. Their sizes follow from the data.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/base/random.h"
#include "elbo/nn/layers.h"

namespace elbo {

// How the weights of networks begin: in LibTorch's way, or with standard deviations in units of 1/√fan_in.
struct InitialWeights {
  bool scaled = false;
  double hidden = 1;  // of layers before an activation
  double head = 1;    // of layers whose outputs are parameters of distributions
  template <typename Layer>
  void set_hidden(Layer& layer) const {
    if (scaled) layer.scale_weights(hidden);
  }
  template <typename Layer>
  void set_head(Layer& layer) const {
    if (scaled) layer.scale_weights(head);
  }
};

struct NetworkOptions {
  // auto | mlp | conv; auto is conv for images of at least 16×16 and volumes of at least 8×8×8, mlp otherwise
  std::string kind = "auto";
  // Widths of the dense layers, from the data inwards. With none, an mlp is linear.
  std::vector<int64_t> hidden = {400};
  // conv: channels of the layers that halve the sides of the image or volume, from the data inwards.
  std::vector<int64_t> channels = {32, 64};
  std::string activation = "relu";
  std::string input = "auto";     // of network_input(); auto: log1p for likelihoods of counts, raw otherwise
  std::string init = "pytorch";   // of initial weights: pytorch | he
  void bind(OptionTable& table);  // under network.*

  // Not an option, as it follows from the data: dimensions of a row after the channels, 3 for volumes.
  int64_t spatial = 2;

  InitialWeights initial_weights() const;
};

// x as encoders see it, (b, …row) → (b, …row), while the likelihood is that of x itself. raw, auto: x; log1p:
// sign(x) log(1 + |x|), which is log(1 + x) of counts; l2: x divided by the norm of the row.
torch::Tensor network_input(const std::string& kind, const torch::Tensor& x);

// Dense layers with an activation between them: widths[0] → … → widths.back(). The last layer is linear.
class Mlp : public torch::nn::Module {
 public:
  Mlp(const std::vector<int64_t>& widths, Activation activation, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& x);  // (b, widths.front()) → (b, widths.back())
  torch::Tensor features(
      const torch::Tensor& x);  // the input of the last layer: (b, the width before the last)
  torch::Tensor outputs(const torch::Tensor& features);  // the last layer: (b, widths.back())
  std::vector<Linear::Parameters> use() const;           // for functions that compute the layers themselves
  // last: standard deviation of the last layer's weights, in units of 1/√fan_in.
  void initialize(const InitialWeights& weights, double last);

 private:
  std::vector<std::shared_ptr<Linear>> layers_;
  Activation activation_;
};

class Encoder : public torch::nn::Module {
 public:
  explicit Encoder(std::string input_kind) : input_kind_(std::move(input_kind)) {}
  // (b, …row) → (b, outputs). context (b, n): a condition, undefined where n is 0.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& context = {}) {
    return forward_input(input(x), context);
  }
  // (b, …row) → (b, features): the input of the last layer; the row itself where there is no other layer.
  torch::Tensor features(const torch::Tensor& x, const torch::Tensor& context = {}) {
    return features_of_input(input(x), context);
  }
  // The same in two parts: network_input(), and the layers.
  torch::Tensor input(const torch::Tensor& x) const { return network_input(input_kind_, x); }
  torch::Tensor forward_input(const torch::Tensor& input, const torch::Tensor& context = {}) {
    return outputs(features_of_input(input, context));
  }
  virtual torch::Tensor outputs(const torch::Tensor& features) = 0;  // (b, features) → (b, outputs)

 private:
  virtual torch::Tensor features_of_input(const torch::Tensor& input, const torch::Tensor& context) = 0;

  std::string input_kind_;
};

class Decoder : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& z) = 0;  // (b, latent) → (b, param_channels, …row)
};

// Whether the networks for rows of this shape are convolutional: decided by `kind`; for auto, by the sides of
// the image or volume.
bool is_convolutional(const NetworkOptions& options, const std::vector<int64_t>& row);

// The last layer of both is linear, as its outputs are parameters of distributions; those of an encoder may
// be features for other layers instead. `context` is the number of values in the condition. Both throw a
// usage Error where the options do not fit the row: conv for rows that are neither images nor volumes, sides
// too small for the number of layers.
enum class Outputs { parameters, features };
std::shared_ptr<Encoder> make_encoder(const NetworkOptions& options, const std::vector<int64_t>& row,
                                      int64_t outputs, RandomGenerator& init, int64_t context = 0,
                                      Outputs kind = Outputs::parameters);
std::shared_ptr<Decoder> make_decoder(const NetworkOptions& options, const std::vector<int64_t>& row,
                                      int64_t latent, int64_t param_channels, RandomGenerator& init);

}  // namespace elbo
