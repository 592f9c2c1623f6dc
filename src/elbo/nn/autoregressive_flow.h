// The masked autoregressive flow MAF (Papamakarios, Pavlakou & Murray 2017): layers u_i = (z_i - m_i)
// exp(-s_i), where m_i and s_i are functions of z_1 … z_{i-1} from a Made (eqs. 3–4). The density of z takes
// one pass, a sample one pass for each dimension. Between layers, where the paper has batch normalisation,
// the order of dimensions is reversed only.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/flows.h"
#include "elbo/nn/made.h"

namespace elbo {

class AutoregressiveFlow : public torch::nn::Module {
 public:
  // context: values of a condition of every layer, 0 for none.
  AutoregressiveFlow(const FlowShape& shape, int64_t context, RandomGenerator& init);
  // z (n, latent), context (n, context) → u = f(z) and log |det ∂f/∂z|.
  FlowOutput to_noise(const torch::Tensor& z, const torch::Tensor& context);
  torch::Tensor from_noise(const torch::Tensor& u, const torch::Tensor& context);  // the inverse

 private:
  std::vector<std::shared_ptr<Made>> layers_;
};

}  // namespace elbo
