// Hierarchies of latent variables. Level 0 is the top, the last level is next to the data, and each level is
// conditioned on those above it. A top-down state (n, …) carries the levels above; bottom-up features
// (b, width) come from x.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/layers.h"
#include "elbo/nn/networks.h"

namespace elbo {

// The normalised product of two normal densities: means weighted by their precisions (Sønderby et al. 2016,
// eqs. 18 and 19). Computed with log variances, so that no precision overflows.
DiagonalNormal precision_weighted(const DiagonalNormal& a, const DiagonalNormal& b);

class StochasticLevel : public torch::nn::Module {
 public:
  virtual DiagonalNormal prior(const torch::Tensor& state) = 0;  // p(z_i | levels above)
  // q(z_i | x, levels above); prior: the result of prior(state).
  virtual DiagonalNormal posterior(const DiagonalNormal& prior, const torch::Tensor& state,
                                   const torch::Tensor& bottom_up) = 0;
  // The state that the level below sees.
  virtual torch::Tensor next_state(const torch::Tensor& state, const torch::Tensor& z) = 0;
};

class Hierarchy : public torch::nn::Module {
 public:
  // features (b, width), an encoder's output → the bottom-up features of each level, top first.
  virtual std::vector<torch::Tensor> bottom_up(const torch::Tensor& features) = 0;
  virtual torch::Tensor initial_state(int64_t n) const = 0;
  virtual int64_t output_size() const = 0;  // of the state after the last level, the decoder's input
  const std::vector<std::shared_ptr<StochasticLevel>>& levels() const { return levels_; }

 protected:
  void append(std::shared_ptr<StochasticLevel> level);

 private:
  std::vector<std::shared_ptr<StochasticLevel>> levels_;
};

struct HierarchyShape {
  std::vector<int64_t> latents;  // dimensions of the levels, from the data inwards
  int64_t width = 0;             // of the layers between levels
  Activation activation = nullptr;
  InitialWeights weights{};
};

std::vector<std::string> hierarchy_names();
// ladder: each level depends on the one above it, the decoder on the last. Posteriors are precision-weighted
//         combinations of bottom-up features and prior (Sønderby et al. 2016). The top's prior is N(0, I).
// deep:   a residual state goes from a learned vector through all levels to the decoder. Each level's prior
//         sees the state, its posterior the state and the bottom-up features (Child 2021, section 3, with
//         dense layers).
// Throws a usage Error for an unknown name.
std::shared_ptr<Hierarchy> make_hierarchy(const std::string& name, const HierarchyShape& shape,
                                          RandomGenerator& init);

}  // namespace elbo
