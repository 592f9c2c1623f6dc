// Hierarchies of latent variables: level 0 is the top, the last one lies next to the data; each is drawn
// given those above it. A state (n, …) goes from level to level downwards and carries what is known of the
// levels above; evidence (b, width) comes from x.
#pragma once
#include <torch/nn/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/random.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/layers.h"

namespace elbo {

// The product of two normal densities, normalised: means weighted by their precisions (Sønderby et al. 2016,
// eqs. 18 and 19). With log variances throughout, so that no precision overflows.
DiagonalNormal precision_weighted(const DiagonalNormal& a, const DiagonalNormal& b);

class StochasticLevel : public torch::nn::Module {
 public:
  virtual DiagonalNormal prior(const torch::Tensor& state) = 0;  // p(z_i | levels above)
  // q(z_i | x, levels above); prior: what prior(state) gave.
  virtual DiagonalNormal posterior(const DiagonalNormal& prior, const torch::Tensor& state,
                                   const torch::Tensor& evidence) = 0;
  virtual torch::Tensor below(const torch::Tensor& state, const torch::Tensor& z) = 0;
};

class Hierarchy : public torch::nn::Module {
 public:
  // features (b, width), an encoder's output → the evidence of each level, top first.
  virtual std::vector<torch::Tensor> evidence(const torch::Tensor& features) = 0;
  virtual torch::Tensor top_state(int64_t n) const = 0;
  virtual int64_t bottom_size() const = 0;  // of the state below the last level, which the decoder sees
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
};

std::vector<std::string> hierarchy_names();
// ladder: each level sees the one above it alone, the decoder the lowest; posteriors are precision-weighted
//         combinations of bottom-up evidence and prior (Sønderby et al. 2016). The top's prior is N(0, I).
// deep:   a residual state runs from a learned vector past all levels to the decoder; each level's prior sees
//         the state, its posterior the state and the evidence (Child 2021, section 3, with dense layers).
std::shared_ptr<Hierarchy> make_hierarchy(const std::string& name, const HierarchyShape& shape, RandomGenerator& init);

}  // namespace elbo
