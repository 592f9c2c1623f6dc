// The importance-weighted autoencoder (Burda, Grosse & Salakhutdinov 2016), and its mean over several groups
// of draws (Rainforth et al. 2018), which is miwae.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/models/gaussian_vae.h"

namespace elbo {

struct IwaeOptions : GaussianVaeOptions {
  int64_t samples = 5;                // K: draws of z in one bound
  int64_t groups = 1;                 // M: bounds of which the mean is taken
  std::string gradient = "standard";  // standard | dreg
  void bind(OptionTable& table);      // all but groups
};

class Iwae : public GaussianVae {
 public:
  Iwae(const ModelContext& context, const IwaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), options_(options) {}

  // The bound L_K itself is the loss, in training and in evaluation.
  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override;
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override;

 private:
  // The gradient of Tucker et al. 2019, eq. 8, whose signal does not fade as K grows.
  torch::Tensor doubly_reparameterized(const DiagonalNormal& posterior, const Batch& batch, RandomGenerator& noise);
  torch::Tensor grouped(const torch::Tensor& log_weights) const;  // (M·K, b) → (K, M, b)

  IwaeOptions options_;
};

}  // namespace elbo
