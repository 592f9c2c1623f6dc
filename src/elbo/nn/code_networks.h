// Encoders that map a row to several vectors, and their decoders: a grid of vectors for convolutional
// networks, a fixed number of vectors for the others.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/convolutions.h"
#include "elbo/nn/networks.h"

namespace elbo {

struct CodeOptions {
  int64_t codes = 8;  // vectors of a row where the networks are not convolutional
  int64_t dim = 64;
  int64_t residual_blocks = 2;  // between the convolutions and the grid, in the encoder and in the decoder
};

// How the vectors of a row are arranged: in a grid of the innermost feature maps' size, or in one line.
struct CodeLayout {
  Grid grid;  // (codes) for a line; codes are numbered in raster order
  int64_t codes() const;
};

// Throws a usage Error as make_encoder does.
CodeLayout code_layout(const NetworkOptions& network, const std::vector<int64_t>& row,
                       const CodeOptions& options);

class CodeEncoder : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;  // (b, …row) → (b, codes, dim)
};

class CodeDecoder : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& z) = 0;  // (b, codes, dim) → (b, param_channels, …row)
};

// Grids: strided convolutions, residual blocks, and a 1×1 convolution (van den Oord, Vinyals & Kavukcuoglu
// 2017, section 4.1). Both throw a usage Error as make_encoder does.
std::shared_ptr<CodeEncoder> make_code_encoder(const NetworkOptions& network, const std::vector<int64_t>& row,
                                               const CodeOptions& options, RandomGenerator& init);
std::shared_ptr<CodeDecoder> make_code_decoder(const NetworkOptions& network, const std::vector<int64_t>& row,
                                               const CodeOptions& options, int64_t param_channels,
                                               RandomGenerator& init);

}  // namespace elbo
