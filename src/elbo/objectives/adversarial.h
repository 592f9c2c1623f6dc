// Losses of adversarial training, as functions of a discriminator's logits, in nats.
#pragma once
#include <torch/types.h>

#include "elbo/base/random.h"

namespace elbo {

// -log D(real) - log(1 - D(fake)) with D = sigmoid(logit), (n) and (n) → (n) (Goodfellow et al. 2014, eq. 1).
// At its minimum the logit is log p_real/p_fake.
torch::Tensor discriminator_loss(const torch::Tensor& real_logit, const torch::Tensor& fake_logit);

// The non-saturating loss -log D(fake), (n) → (n) (Goodfellow et al. 2014, section 3).
torch::Tensor generator_loss(const torch::Tensor& fake_logit);

// The R1 gradient penalty |∇x logit|²/2 at real rows: logit (n), x (n, …) → (n) (Mescheder, Geiger & Nowozin
// 2018, eq. 9). x must require a gradient, and logit i must depend on row i only.
torch::Tensor r1_penalty(const torch::Tensor& logit, const torch::Tensor& x);

// log D/(1-D) with D the softmax probability of the first of two classes: (n, 2) → (n) (Kim & Mnih 2018, eq.
// 3). For the optimal D between q(z) and the product of its marginals, the mean over q(z) is the total
// correlation.
torch::Tensor log_density_ratio(const torch::Tensor& logits);

// Permutes each column of z (b, latent) independently: samples of the product of q(z)'s marginals (Kim & Mnih
// 2018, algorithm 1).
torch::Tensor permute_dimensions(const torch::Tensor& z, RandomGenerator& noise);

}  // namespace elbo
