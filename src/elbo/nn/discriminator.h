// A discriminator of vectors: dense layers that classify which of two distributions a vector comes from.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/base/random.h"
#include "elbo/nn/networks.h"

namespace elbo {

struct DiscriminatorOptions {
  std::vector<int64_t> hidden = {256, 256};  // Kim & Mnih 2018: six layers of 1000
  double lr_factor = 1;                      // learning rate as a factor of optimizer.lr
  void bind(OptionTable& table);             // under model.discriminator_*
};

// For a discriminator of rows. Its network has the architecture of the encoder.
struct RowDiscriminatorOptions {
  double r1_penalty = 10;  // weight of the R1 penalty (Mescheder, Geiger & Nowozin 2018, eq. 9)
  double lr_factor = 1;
  void bind(OptionTable& table);  // model.r1_penalty, model.discriminator_lr_factor
};

// Leaky ReLUs with a negative slope of 0.2 (Kim & Mnih 2018, appendix A); the last layer is linear.
class Discriminator : public torch::nn::Module {
 public:
  Discriminator(int64_t in, const DiscriminatorOptions& options, int64_t logits, RandomGenerator& init);
  torch::Tensor forward(const torch::Tensor& z);  // (b, in) → (b, logits)

 private:
  std::shared_ptr<Mlp> mlp_;
};

}  // namespace elbo
