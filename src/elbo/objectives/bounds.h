// Lower bounds on log p(x), as free functions of tensors.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "elbo/base/options.h"
#include "elbo/objectives/loss_terms.h"

namespace elbo {

// How the KL term of a step is weighted.
struct KlOptions {
  double beta = 1.0;  // final weight (Higgins et al. 2017)
  int64_t warmup_steps =
      0;                   // the weight rises linearly from 0 to beta over so many steps (Bowman et al. 2016)
  double free_bits = 0.0;  // nats a latent dimension may carry for nothing (Kingma et al. 2016, eq. 15), mean
                           // over the microbatch
  void bind(OptionTable& table);  // under model.*
  // Without free bits, for a divergence that is not known of each dimension.
  void bind_weight(OptionTable& table);
};

double kl_weight(const KlOptions& options, int64_t step);

// -E log p(x|z) + weight · KL with free bits. reconstruction (b): -log p(x|z); kl (b, latent).
// Reports reconstruction and kl (unweighted, without free bits).
LossTerms negative_elbo(const torch::Tensor& reconstruction, const torch::Tensor& kl, const KlOptions& options,
                    int64_t step);

// The KL term of a step is drawn to a capacity that rises (Burgess et al. 2018, eq. 8).
struct CapacityOptions {
  double capacity = 0.0;           // C: nats at the end of its rise; 0: no capacity, the KL is weighted
  int64_t capacity_steps = 10000;  // steps over which it rises linearly from 0
  double gamma = 100.0;            // weight of the distance
  void bind(OptionTable& table);   // under model.*
};

// Σ reconstruction + kl_weight Σ kl + penalty, for a penalty on the microbatch as a whole: reconstruction
// (b), kl (b), penalty a scalar, already times b. Reports the three, the last as `name`.
LossTerms penalized(const torch::Tensor& reconstruction, const torch::Tensor& kl, double kl_weight,
                const std::string& name, const torch::Tensor& penalty);

// Σ reconstruction + γ b |KL - C(step)|, with the KL as the mean over the microbatch; arguments as above.
LossTerms capacity_objective(const torch::Tensor& reconstruction, const torch::Tensor& kl,
                         const CapacityOptions& options, int64_t step);

// log 1/k Σ w from log w (k, …, b), in double → (…, b) (Burda, Grosse & Salakhutdinov 2016, eq. 8).
torch::Tensor importance_weighted_bound(const torch::Tensor& log_weights);

}  // namespace elbo
