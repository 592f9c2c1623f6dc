#include "elbo/nn/code_networks.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <functional>
#include <numeric>

namespace elbo {
namespace {

// Activation, 3×3, activation, 1×1, added to the input (van den Oord, Vinyals & Kavukcuoglu 2017,
// section 4.1, with ReLU); for volumes 3×3×3 and 1×1×1.
class ResidualBlock : public torch::nn::Module {
 public:
  ResidualBlock(const NetworkOptions& network, RandomGenerator& init)
      : wide_(register_module("wide", square_convolution(network, 3, init))),
        narrow_(register_module("narrow", square_convolution(network, 1, init))),
        activation_(find_activation(network.activation)) {}
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor h = wide_->forward(activation_(x));
    return x + narrow_->forward(activation_(h));
  }

 private:
  // As many channels as before it, and the same sides.
  static std::shared_ptr<Convolution> square_convolution(const NetworkOptions& network, int64_t kernel,
                                                         RandomGenerator& init) {
    const int64_t channels = network.channels.back();
    return std::make_shared<Convolution>(network.spatial, channels, channels, kernel, 1, kernel / 2, init);
  }

  std::shared_ptr<Convolution> wide_, narrow_;
  Activation activation_;
};

class ResidualBlocks {
 public:
  ResidualBlocks(torch::nn::Module& owner, const NetworkOptions& network, int64_t count,
                 RandomGenerator& init) {
    for (int64_t i = 0; i < count; ++i)
      blocks_.push_back(
          owner.register_module(fmt::format("block{}", i), std::make_shared<ResidualBlock>(network, init)));
  }
  torch::Tensor forward(const torch::Tensor& x) const {
    torch::Tensor h = x;
    for (const auto& block : blocks_) h = block->forward(h);
    return h;
  }

 private:
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
};

class GridEncoder : public CodeEncoder {
 public:
  GridEncoder(const NetworkOptions& network, const std::vector<int64_t>& row, const CodeOptions& options,
              RandomGenerator& init)
      : input_kind_(network.input),
        down_(*this, network, row, init),
        blocks_(*this, network, options.residual_blocks, init),
        last_(register_module("last", std::make_shared<Convolution>(network.spatial, network.channels.back(),
                                                                    options.dim, 1, 1, 0, init))),
        activation_(find_activation(network.activation)) {}

  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor h = blocks_.forward(down_.forward(network_input(input_kind_, x)));
    return last_->forward(activation_(h)).flatten(2).transpose(1, 2);
  }

 private:
  std::string input_kind_;
  DownsamplingConvs down_;
  ResidualBlocks blocks_;
  std::shared_ptr<Convolution> last_;
  Activation activation_;
};

// The encoder's mirror image.
class GridDecoder : public CodeDecoder {
 public:
  GridDecoder(const NetworkOptions& network, const std::vector<int64_t>& row, const CodeOptions& options,
              int64_t param_channels, RandomGenerator& init)
      : grid_(grid_sizes(network, row).back()),
        first_(
            register_module("first", std::make_shared<Convolution>(network.spatial, options.dim,
                                                                   network.channels.back(), 3, 1, 1, init))),
        blocks_(*this, network, options.residual_blocks, init),
        up_(*this, network, row, param_channels, init) {}

  torch::Tensor forward(const torch::Tensor& z) override {
    const torch::Tensor grid = z.transpose(1, 2).unflatten(2, grid_);
    return up_.forward(blocks_.forward(first_->forward(grid)));
  }

 private:
  Grid grid_;
  std::shared_ptr<Convolution> first_;
  ResidualBlocks blocks_;
  UpsamplingConvs up_;
};

class LineEncoder : public CodeEncoder {
 public:
  LineEncoder(const NetworkOptions& network, const std::vector<int64_t>& row, const CodeOptions& options,
              RandomGenerator& init)
      : sizes_{options.codes, options.dim},
        network_(register_module("network", make_encoder(network, row, options.codes * options.dim, init))) {}
  torch::Tensor forward(const torch::Tensor& x) override { return network_->forward(x).unflatten(1, sizes_); }

 private:
  std::vector<int64_t> sizes_;
  std::shared_ptr<Encoder> network_;
};

class LineDecoder : public CodeDecoder {
 public:
  LineDecoder(const NetworkOptions& network, const std::vector<int64_t>& row, const CodeOptions& options,
              int64_t param_channels, RandomGenerator& init)
      : network_(register_module(
            "network", make_decoder(network, row, options.codes * options.dim, param_channels, init))) {}
  torch::Tensor forward(const torch::Tensor& z) override { return network_->forward(z.flatten(1)); }

 private:
  std::shared_ptr<Decoder> network_;
};

}  // namespace

int64_t CodeLayout::codes() const {
  return std::accumulate(grid.begin(), grid.end(), int64_t{1}, std::multiplies<>());
}

CodeLayout code_layout(const NetworkOptions& network, const std::vector<int64_t>& row,
                       const CodeOptions& options) {
  if (!is_convolutional(network, row)) return {{options.codes}};
  return {grid_sizes(network, row).back()};
}

std::shared_ptr<CodeEncoder> make_code_encoder(const NetworkOptions& network, const std::vector<int64_t>& row,
                                               const CodeOptions& options, RandomGenerator& init) {
  if (is_convolutional(network, row)) return std::make_shared<GridEncoder>(network, row, options, init);
  return std::make_shared<LineEncoder>(network, row, options, init);
}

std::shared_ptr<CodeDecoder> make_code_decoder(const NetworkOptions& network, const std::vector<int64_t>& row,
                                               const CodeOptions& options, int64_t param_channels,
                                               RandomGenerator& init) {
  if (is_convolutional(network, row))
    return std::make_shared<GridDecoder>(network, row, options, param_channels, init);
  return std::make_shared<LineDecoder>(network, row, options, param_channels, init);
}

}  // namespace elbo
