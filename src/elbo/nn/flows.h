// Normalising flows: invertible functions f of z with a cheap Jacobian determinant, which turn a simple
// density into a flexible one: log q(f(z)) = log q(z) - log |det ∂f/∂z|.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/layers.h"

namespace elbo {

struct FlowOutput {
  torch::Tensor z;        // (n, latent)
  torch::Tensor log_det;  // (n): log |det ∂f/∂z| in nats
};

// A composition of several flows.
class Flow : public torch::nn::Module {
 public:
  // z (n, latent), context (n, context_size()).
  virtual FlowOutput forward(const torch::Tensor& z, const torch::Tensor& context) = 0;
  virtual int64_t context_size() const = 0;  // values that the encoder provides for each row
};

struct FlowShape {
  int64_t latent = 0, flows = 0;
  std::vector<int64_t> hidden;  // iaf: widths of the masked layers
  Activation activation = nullptr;
};

std::vector<std::string> flow_names();
// iaf:    inverse autoregressive, gated: z ← σ⊙z + (1 - σ)⊙m, with m and σ from a Made (Kingma et al. 2016,
//         algorithm 1). The order of dimensions is reversed between flows.
// planar: z ← z + û·tanh(wᵀz + b). The context holds u, w and b, so they depend on x (Rezende & Mohamed 2015,
//         eqs. 10–12 and appendix A.1).
// Throws a usage Error for an unknown name.
std::shared_ptr<Flow> make_flow(const std::string& name, const FlowShape& shape, RandomGenerator& init);

}  // namespace elbo
