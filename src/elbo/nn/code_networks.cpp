#include "elbo/nn/code_networks.h"

#include <fmt/format.h>
#include <torch/types.h>

namespace elbo {
namespace {

// Activation, 3×3, activation, 1×1, added to the input (van den Oord, Vinyals & Kavukcuoglu 2017,
// section 4.1, with ReLU).
class ResidualBlock : public torch::nn::Module {
 public:
  ResidualBlock(int64_t channels, Activation activation, RandomGenerator& init)
      : wide_(register_module("wide", std::make_shared<Conv2d>(channels, channels, 3, 1, 1, init))),
        narrow_(register_module("narrow", std::make_shared<Conv2d>(channels, channels, 1, 1, 0, init))),
        activation_(activation) {}
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor h = wide_->forward(activation_(x));
    return x + narrow_->forward(activation_(h));
  }

 private:
  std::shared_ptr<Conv2d> wide_, narrow_;
  Activation activation_;
};

class ResidualBlocks {
 public:
  ResidualBlocks(torch::nn::Module& owner, const NetworkOptions& network, int64_t count,
                 RandomGenerator& init) {
    for (int64_t i = 0; i < count; ++i)
      blocks_.push_back(
          owner.register_module(fmt::format("block{}", i),
                                std::make_shared<ResidualBlock>(network.channels.back(),
                                                                find_activation(network.activation), init)));
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
        last_(register_module("last",
                              std::make_shared<Conv2d>(network.channels.back(), options.dim, 1, 1, 0, init))),
        activation_(find_activation(network.activation)) {}

  torch::Tensor forward(const torch::Tensor& x) override {
    const torch::Tensor h = blocks_.forward(down_.forward(network_input(input_kind_, x)));
    return last_->forward(activation_(h)).flatten(2).transpose(1, 2);
  }

 private:
  std::string input_kind_;
  DownsamplingConvs down_;
  ResidualBlocks blocks_;
  std::shared_ptr<Conv2d> last_;
  Activation activation_;
};

// The encoder's mirror image.
class GridDecoder : public CodeDecoder {
 public:
  GridDecoder(const NetworkOptions& network, const std::vector<int64_t>& row, const CodeOptions& options,
              int64_t param_channels, RandomGenerator& init)
      : plane_(plane_sizes(network, row).back()),
        first_(register_module(
            "first", std::make_shared<Conv2d>(options.dim, network.channels.back(), 3, 1, 1, init))),
        blocks_(*this, network, options.residual_blocks, init),
        up_(*this, network, row, param_channels, init) {}

  torch::Tensor forward(const torch::Tensor& z) override {
    const torch::Tensor grid = z.transpose(1, 2).unflatten(2, plane_);
    return up_.forward(blocks_.forward(first_->forward(grid)));
  }

 private:
  Plane plane_;
  std::shared_ptr<Conv2d> first_;
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

CodeLayout code_layout(const NetworkOptions& network, const std::vector<int64_t>& row,
                       const CodeOptions& options) {
  if (!is_convolutional(network, row)) return {false, {1, options.codes}};
  return {true, plane_sizes(network, row).back()};
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
