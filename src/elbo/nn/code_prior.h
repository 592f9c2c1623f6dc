// Autoregressive priors of discrete latent codes, p(c) = Π p(cᵢ | c₁ … cᵢ₋₁).
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
  // codes (b, codes) int64 → (b, codes, K): the logits of each code depend only on the codes before it.
  virtual torch::Tensor logits(const torch::Tensor& codes) = 0;

  torch::Tensor negative_log_likelihood(const torch::Tensor& codes);  // (b, codes) → (b), nats
  // (n, codes) int64, by ancestral sampling.
  virtual torch::Tensor sample(int64_t n, RandomGenerator& noise) = 0;
};

// For grids of two dimensions a gated PixelCNN in raster order (van den Oord et al. 2016, Conditional Image
// Generation with PixelCNN Decoders), otherwise a GRU (Cho et al. 2014). size: K, the number of vectors in
// the codebook.
std::shared_ptr<CodePrior> make_code_prior(const CodePriorOptions& options, const CodeLayout& layout,
                                           int64_t size, RandomGenerator& init);

}  // namespace elbo
