// Lower bounds on log p(x) and their KL weights.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/base/options.h"
#include "elbo/objectives/loss_terms.h"

namespace elbo {

// How the KL term of a step is weighted.
struct KlOptions {
  double beta = 1.0;         // final weight (Higgins et al. 2017)
  int64_t warmup_steps = 0;  // steps of the linear rise from 0 to beta (Bowman et al. 2016)
  // Nats per latent dimension that are not penalised (Kingma et al. 2016, eq. 15), as a mean over the
  // microbatch.
  double free_bits = 0.0;
  void bind(OptionTable& table);  // under model.*
  // Without free bits, for models whose KL is not known per dimension.
  void bind_weight(OptionTable& table);
};

double kl_weight(const KlOptions& options, int64_t step);

// -log p(x|z) + kl_weight · KL, with free bits. reconstruction (b): -log p(x|z); kl (b, latent). Metrics:
// reconstruction and kl, without weight and free bits.
LossTerms negative_elbo(const torch::Tensor& reconstruction, const torch::Tensor& kl,
                        const KlOptions& options, int64_t step);

// A capacity C of the KL term that rises with the step (Burgess et al. 2018, eq. 8).
struct CapacityOptions {
  double capacity = 0.0;           // final C in nats; 0: no capacity, the KL has the weight beta
  int64_t capacity_steps = 10000;  // steps of the linear rise from 0
  double gamma = 100.0;            // weight of |KL - C|
  void bind(OptionTable& table);   // under model.*
};

// Σ reconstruction + kl_weight Σ kl + penalty, for a penalty on the microbatch as a whole: reconstruction
// (b), kl (b), penalty a scalar that is already multiplied by b. Metrics: reconstruction, kl, and the penalty
// as `name`.
LossTerms penalized(const torch::Tensor& reconstruction, const torch::Tensor& kl, double kl_weight,
                    const std::string& name, const torch::Tensor& penalty);

// Σ reconstruction + γ b |KL - C(step)|, where KL is the mean over the microbatch: reconstruction (b), kl
// (b).
LossTerms capacity_objective(const torch::Tensor& reconstruction, const torch::Tensor& kl,
                             const CapacityOptions& options, int64_t step);

// log 1/k Σ w: log w (k, …, b) → (…, b) float64 (Burda, Grosse & Salakhutdinov 2016, eq. 8).
torch::Tensor importance_weighted_bound(const torch::Tensor& log_weights);

// The mean over k samples of each row with normalised weights: log w (k, b), values (k·b, …row) → (b, …row).
torch::Tensor importance_weighted_mean(const torch::Tensor& log_weights, const torch::Tensor& values);

}  // namespace elbo
