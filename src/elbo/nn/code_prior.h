// Autoregressive distributions of a row's codes, p(c) = Π p(cᵢ | c₁ … cᵢ₋₁): what is drawn from in place of
// N(0, I) where latent variables are discrete.
#pragma once
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "elbo/base/options.h"
#include "elbo/base/random.h"
#include "elbo/nn/code_networks.h"

namespace elbo {

struct CodePriorOptions {
  int64_t width = 64;
  int64_t layers = 4;
  void bind(OptionTable& table);  // under model.prior_*
};

class CodePrior : public torch::nn::Module {
 public:
  // codes (b, codes) int64 → (b, codes, K): logits of each code, which depend on those before it alone.
  virtual torch::Tensor logits(const torch::Tensor& codes) = 0;

  torch::Tensor negative_log_likelihood(const torch::Tensor& codes);  // (b, codes) → (b), nats
  // (n, codes) int64, one code after the other.
  virtual torch::Tensor sample(int64_t n, RandomGenerator& noise) = 0;
};

// For grids a gated PixelCNN (van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders)
// that reads them row by row, for others a GRU (Cho et al. 2014). size: K.
std::shared_ptr<CodePrior> make_code_prior(const CodePriorOptions& options, const CodeLayout& layout,
                                           int64_t size, RandomGenerator& init);

}  // namespace elbo
