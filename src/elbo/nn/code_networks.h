// Encoders that end in several vectors a row, and the decoders that begin with them: a grid of vectors for
// convolutional networks, a few for the others.
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
  int64_t codes = 8;  // vectors of a row that no grid describes
  int64_t dim = 64;
  int64_t residual_blocks = 2;  // between the strided convolutions and the grid, on either side
};

// Where the vectors of a row stand: a grid of the innermost feature maps' size, or all in one line.
struct CodeLayout {
  bool grid = false;
  Plane plane = {1, 1};  // rows, columns: codes are counted along the rows
  int64_t codes() const { return plane[0] * plane[1]; }
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
  virtual torch::Tensor forward(const torch::Tensor& z) = 0;  // (b, codes, dim) → (b, maps, …row)
};

// On grids: strided convolutions, residual blocks, and one linear layer at each place (van den Oord, Vinyals
// & Kavukcuoglu 2017, section 4.1).
std::shared_ptr<CodeEncoder> make_code_encoder(const NetworkOptions& network, const std::vector<int64_t>& row,
                                               const CodeOptions& options, RandomGenerator& init);
std::shared_ptr<CodeDecoder> make_code_decoder(const NetworkOptions& network, const std::vector<int64_t>& row,
                                               const CodeOptions& options, int64_t param_channels, RandomGenerator& init);

}  // namespace elbo
