// Normal distributions of the latent variables. Densities are in nats; all functions are differentiable.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/base/random.h"

namespace elbo {

// N(mean, diag exp(logvar)).
struct DiagonalNormal {
  torch::Tensor mean, logvar;  // (b, latent)

  // From an encoder's output (b, 2·latent): the means, then the log variances.
  static DiagonalNormal of(const torch::Tensor& output);

  torch::Tensor sample(RandomGenerator& noise) const;  // (b, latent): mean + σ·ε (Kingma & Welling 2014, eq. 9)
  torch::Tensor sample(RandomGenerator& noise, int64_t k) const;      // (k, b, latent)
  torch::Tensor log_prob(const torch::Tensor& z) const;  // (…, b, latent) → (…, b), summed over latent
  torch::Tensor log_density_of_dimensions(const torch::Tensor& z) const;  // (…, b, latent) → likewise
  torch::Tensor at(const torch::Tensor& epsilon) const;                   // mean + σ·ε, of ε's shape
  torch::Tensor standardized(const torch::Tensor& z) const;               // its inverse: ε of z
  torch::Tensor kl_to(const DiagonalNormal& other) const;  // KL(this ‖ other), (b, latent), per dimension
  torch::Tensor kl_to_standard() const;  // (b, latent), per dimension (Kingma & Welling 2014, appendix B)
};

torch::Tensor standard_normal_log_density(const torch::Tensor& z);  // (…, latent) → (…)

// Of the mixture of `components` with equal weights: (…, n, latent) → (…, n).
torch::Tensor mixture_log_density(const DiagonalNormal& components, const torch::Tensor& z);

// One of K categories for each logits of `dim`, which the result (int64) lacks.
torch::Tensor draw_category(const torch::Tensor& logits, int64_t dim, RandomGenerator& noise);

}  // namespace elbo
