// The importance-weighted autoencoder (Burda, Grosse & Salakhutdinov 2016) and miwae, the mean of its bound
// over several groups of samples (Rainforth et al. 2018).
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/models/gaussian_vae.h"

namespace elbo {

struct IwaeOptions : GaussianVaeOptions {
  int64_t samples = 5;                // K: samples of z per bound
  int64_t groups = 1;                 // M: bounds in the mean
  std::string gradient = "standard";  // standard | dreg
  void bind(OptionTable& table);      // all but groups
};

class Iwae : public GaussianVae {
 public:
  Iwae(const ModelContext& context, const IwaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), options_(options) {}

  // The loss is -L_K, in training and in evaluation.
  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override;
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override;

 private:
  // log weights at samples z (k, b, latent) → (k, b), whose gradient reaches log q through z.
  torch::Tensor log_weights_at(const DiagonalNormal& posterior, const torch::Tensor& z, const Batch& batch);
  // log weights (K, M, b) with the doubly reparameterised gradient of Tucker et al. 2019, eq. 8, whose
  // signal-to-noise ratio does not decrease with K.
  torch::Tensor doubly_reparameterized(const DiagonalNormal& posterior, const Batch& batch,
                                       RandomGenerator& noise);
  torch::Tensor grouped(const torch::Tensor& log_weights) const;  // (M·K, b) → (K, M, b)

  IwaeOptions options_;
};

}  // namespace elbo
