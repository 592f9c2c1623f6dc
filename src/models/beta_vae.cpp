// The β-VAE of Higgins et al. 2017, and its form with a capacity that rises (Burgess et al. 2018). With β = 1
// it is the vae to the bit.
#include "models/gaussian_vae.h"
#include "models/spec.h"
#include "objectives/bounds.h"

namespace elbo {
namespace {

struct BetaVaeOptions : GaussianVaeOptions {
  KlOptions kl{.beta = 4.0};
  CapacityOptions capacity;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    kl.bind(table);
    capacity.bind(table);
  }
};

class BetaVae : public GaussianVae {
 public:
  BetaVae(const ModelContext& context, const BetaVaeOptions& options, Noise& init)
      : GaussianVae(context, options, init), kl_(options.kl), capacity_(options.capacity) {}

  Terms objective(const Pass& pass, const Batch& batch, Noise& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor nats = reconstruction(posterior.sample(noise), batch);
    const torch::Tensor kl = posterior.kl_to_standard();
    if (capacity_.capacity > 0) return capacity_objective(nats, kl, capacity_, pass.step);
    return negative_elbo(nats, kl, kl_, pass.step);
  }

 private:
  KlOptions kl_;
  CapacityOptions capacity_;
};

}  // namespace

std::unique_ptr<ModelSpec> beta_vae_spec() {
  return std::make_unique<SpecOf<BetaVae, BetaVaeOptions>>(
      "beta_vae", "VAE with a weighted KL term, or one that is led to a capacity",
      "Higgins et al., beta-VAE, ICLR 2017; Burgess et al., Understanding disentangling in beta-VAE, 2018");
}

}  // namespace elbo
