// Losses of two players, as free functions of a discriminator's logits, in nats.
#pragma once
#include <torch/types.h>

#include "elbo/base/random.h"

namespace elbo {

// What the discriminator minimises: -log D(real) - log(1 - D(fake)) with D = sigmoid(logit), (n) and (n) →
// (n) (Goodfellow et al. 2014, eq. 1). At its minimum the logit is log p_real/p_fake.
torch::Tensor discriminator_loss(const torch::Tensor& real_logit, const torch::Tensor& fake_logit);

// What the generator minimises: -log D(fake), (n) → (n), the form that does not saturate (Goodfellow et al.
// 2014, section 3).
torch::Tensor generator_loss(const torch::Tensor& fake_logit);

// |∇x logit|²/2, (n): what a discriminator pays for the slope of its logit (n) at real rows x (n, …), which
// keeps it from outrunning the generator (Mescheder, Geiger & Nowozin 2018, eq. 9, R1). x requires a gradient
// and row i has no part in other logits than the i-th.
torch::Tensor r1_penalty(const torch::Tensor& logit, const torch::Tensor& x);

// The logit of the first of two classes: (n, 2) → (n), log D/(1-D) where D is the softmax's first
// (Kim & Mnih 2018, eq. 3). Once D tells q(z) from the product of its marginals, the mean over q(z) is the
// total correlation.
torch::Tensor log_density_ratio(const torch::Tensor& logits);

// Each column of z (b, latent) in a random order of its own: draws from the product of q(z)'s marginals
// (Kim & Mnih 2018, algorithm 1).
torch::Tensor permute_dimensions(const torch::Tensor& z, RandomGenerator& noise);

}  // namespace elbo
