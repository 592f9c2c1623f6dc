// The variational autoencoder of Kingma & Welling 2014, with the weight of its KL term (Higgins et al. 2017),
// warm-up and free bits as settings.
#include "models/gaussian_vae.h"
#include "models/spec.h"
#include "objectives/bounds.h"

namespace elbo {
namespace {

struct VaeOptions : GaussianVaeOptions {
  KlOptions kl;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    kl.bind(table);
  }
};

class Vae : public GaussianVae {
 public:
  Vae(const ModelContext& context, const VaeOptions& options, Noise& init)
      : GaussianVae(context, options, init), kl_(options.kl) {}

  Terms objective(const Pass& pass, const Batch& batch, Noise& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor nats = reconstruction(posterior.sample(noise), batch);
    return negative_elbo(nats, posterior.kl_to_standard(), kl_, pass.step);
  }

 private:
  KlOptions kl_;
};

}  // namespace

std::unique_ptr<ModelSpec> vae_spec() {
  return std::make_unique<SpecOf<Vae, VaeOptions>>(
      "vae", "variational autoencoder with a diagonal Gaussian posterior",
      "Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014");
}

}  // namespace elbo
