// Distributions, mostly of latent variables. Log probabilities are in nats. Samples of DiagonalNormal are
// differentiable, those of functions sample_* are not.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/base/random.h"

namespace elbo {

// x clamped to [lowest, highest], with the gradient of x itself: what has left the range can come back.
// Inside the range neither the value nor the gradient changes by a bit.
torch::Tensor bounded(const torch::Tensor& x, double lowest, double highest);

// Samples and their log densities.
struct DensitySample {
  torch::Tensor z;         // (k, b, latent)
  torch::Tensor log_prob;  // (k, b)
};

// N(mean, diag exp(logvar)).
struct DiagonalNormal {
  torch::Tensor mean, logvar;  // (b, latent)

  // From an encoder's output (b, 2·latent): means, then log variances. These are bounded to [-30, 20] (σ from
  // 3e-7 to 2e4), the range of latent diffusion models (Rombach et al. 2022, code), far beyond that of a
  // healthy posterior: exp(logvar) and its inverse do not overflow, also for rows far from the data.
  static DiagonalNormal of(const torch::Tensor& output);

  torch::Tensor sample(
      RandomGenerator& noise) const;  // (b, latent): mean + σ·ε (Kingma & Welling 2014, eq. 9)
  torch::Tensor sample(RandomGenerator& noise, int64_t k) const;                // (k, b, latent)
  DensitySample sample_with_log_prob(RandomGenerator& noise, int64_t k) const;  // the same samples
  torch::Tensor log_prob(const torch::Tensor& z) const;  // (…, b, latent) → (…, b), summed over latent
  torch::Tensor log_prob_per_dimension(const torch::Tensor& z) const;  // (…, b, latent) → (…, b, latent)
  torch::Tensor reparameterize(const torch::Tensor& epsilon) const;    // mean + σ·ε, of ε's shape
  // log_prob_per_dimension(reparameterize(ε)), from ε itself: right where rounding loses ε in mean + σ·ε, and
  // where 1/σ² overflows.
  torch::Tensor log_prob_of_noise(const torch::Tensor& epsilon) const;
  torch::Tensor standardized(const torch::Tensor& z) const;  // the inverse: ε of z
  torch::Tensor kl_to(const DiagonalNormal& other) const;    // KL(this ‖ other), (b, latent), per dimension
  torch::Tensor kl_to_standard() const;  // (b, latent), per dimension (Kingma & Welling 2014, appendix B)
};

torch::Tensor standard_normal_log_prob(const torch::Tensor& z);  // (…, latent) → (…)

// log density of the mixture of `components` (K, latent) with equal weights: z (…, n, latent) → (…, n).
torch::Tensor mixture_log_prob(const DiagonalNormal& components, const torch::Tensor& z);

// Cumulative sums along `dim`. LibTorch's own on a GPU have no fixed order of addition, so there it is
// scan_by_doubling.
torch::Tensor cumulative_sum(const torch::Tensor& values, int64_t dim);
// In log2(n) passes; each adds the values at distance 1, 2, 4, … (Hillis & Steele 1986).
torch::Tensor scan_by_doubling(torch::Tensor values, int64_t dim);

// A sample of the categorical distribution with logits along `dim`: int64, of the shape of `logits` without
// `dim`.
torch::Tensor sample_categorical(const torch::Tensor& logits, int64_t dim, RandomGenerator& noise);

// Uniform in the open interval (0, 1), float64: the centres of the generator's cells of width 2⁻²⁴.
torch::Tensor open_uniform(torch::IntArrayRef sizes, RandomGenerator& noise);

// Exact samples, float64, of the argument's shape. A rejected sample is drawn again until all are accepted. 0
// where the argument is not finite.
torch::Tensor sample_gamma(const torch::Tensor& shape, RandomGenerator& noise);   // Gamma(shape, 1)
torch::Tensor sample_poisson(const torch::Tensor& mean, RandomGenerator& noise);  // whole numbers

}  // namespace elbo
