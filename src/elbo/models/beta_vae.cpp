// The β-VAE of Higgins et al. 2017, and its form with a rising capacity (Burgess et al. 2018). With β = 1 it
// is bit-identical to vae.
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"

namespace elbo {
namespace {

struct BetaVaeOptions : WeightedVaeOptions {
  CapacityOptions capacity;
  BetaVaeOptions() { kl.beta = 4.0; }
  void bind(OptionTable& table) {
    WeightedVaeOptions::bind(table);
    capacity.bind(table);
  }
};

class BetaVae : public GaussianVae {
 public:
  BetaVae(const ModelContext& context, const BetaVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), kl_(options.kl), capacity_(options.capacity) {}

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    if (capacity_.capacity == 0) return weighted_bound(posterior, batch, noise, kl_, step_context.step);
    const torch::Tensor nats = reconstruction(posterior.sample(noise), batch);
    return capacity_objective(nats, posterior.kl_to_standard().sum(-1), capacity_, step_context.step);
  }

 private:
  KlOptions kl_;
  CapacityOptions capacity_;
};

}  // namespace

std::unique_ptr<ModelSpec> beta_vae_spec() {
  return std::make_unique<SpecOf<BetaVae, BetaVaeOptions>>(
      "beta_vae", "VAE with a weighted KL term, or a KL term with a target capacity",
      "Higgins et al., beta-VAE, ICLR 2017; Burgess et al., Understanding disentangling in beta-VAE, 2018");
}

}  // namespace elbo
