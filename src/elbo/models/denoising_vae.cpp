// The denoising VAE of Im et al. 2017: in training the encoder sees a corrupted x, and the likelihood is that
// of the clean x. Evaluation corrupts nothing: `elbo reconstruct RUN NOISY.h5` restores noisy rows.
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/corruption.h"

namespace elbo {
namespace {

struct DenoisingVaeOptions : WeightedVaeOptions {
  CorruptionOptions corruption;
  void bind(OptionTable& table) {
    WeightedVaeOptions::bind(table);
    corruption.bind(table);
  }
};

class DenoisingVae : public GaussianVae {
 public:
  DenoisingVae(const ModelContext& context, const DenoisingVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), corruption_(options.corruption), kl_(options.kl) {
    check_corruption(corruption_, context.data.x);
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch.with_x(corrupt(batch.x, corruption_, noise)));
    return weighted_bound(posterior, batch, noise, kl_, step_context.step);
  }

 private:
  CorruptionOptions corruption_;
  KlOptions kl_;
};

}  // namespace

std::unique_ptr<ModelSpec> denoising_vae_spec() {
  return std::make_unique<SpecOf<DenoisingVae, DenoisingVaeOptions>>(
      "denoising_vae", "VAE that sees corrupted rows in training and learns to restore them",
      "Im, Ahn, Memisevic & Bengio, Denoising Criterion for Variational Auto-Encoding Framework, AAAI 2017");
}

}  // namespace elbo
