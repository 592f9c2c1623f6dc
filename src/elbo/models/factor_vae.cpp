// The FactorVAE of Kim & Mnih 2018: the ELBO minus γ times the total correlation of q(z). A discriminator
// between z and z with permuted dimensions estimates the total correlation.
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/discriminator.h"
#include "elbo/objectives/adversarial.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

struct FactorVaeOptions : GaussianVaeOptions {
  double gamma = 10;  // Kim & Mnih 2018: 10 to 100; 35 on dSprites
  DiscriminatorOptions discriminator;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add("model.gamma", gamma, "weight of the total correlation", Range::at_least(0));
    discriminator.bind(table);
  }
};

class FactorVae : public GaussianVae {
 public:
  FactorVae(const ModelContext& context, const FactorVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init),
        gamma_(options.gamma),
        discriminator_lr_factor_(options.discriminator.lr_factor),
        discriminator_(register_module(
            "discriminator",
            std::make_shared<Discriminator>(options.latent, options.discriminator, 2, init))) {}

  std::vector<Phase> phases() const override {
    return {{"model", module_names()},
            {.name = "discriminator", .modules = {"discriminator"}, .lr_factor = discriminator_lr_factor_}};
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    return step_context.phase == "discriminator" ? discriminator_terms(batch, noise)
                                                 : bound(batch, noise, gamma_);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override { return bound(batch, noise, 0); }

 private:
  // Kim & Mnih 2018, eq. 2, as a loss.
  LossTerms bound(const Batch& batch, RandomGenerator& noise, double gamma) {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = posterior.sample(noise);
    const torch::Tensor nats = reconstruction(z, batch);
    const torch::Tensor ratio = log_density_ratio(discriminator_->forward(z));
    LossTerms terms = negative_elbo(nats, posterior.kl_to_standard(), {}, 0);
    terms.loss = terms.loss + gamma * ratio;
    terms.add_metric("total_correlation", ratio);
    return terms;
  }

  // The paper permutes the codes of a second batch. Here they are a second sample for the same rows. Rows are
  // coupled by the permutation, so the loss is their sum.
  LossTerms discriminator_terms(const Batch& batch, RandomGenerator& noise) {
    torch::Tensor z, permuted;
    {
      const torch::NoGradGuard no_grad;
      const DiagonalNormal posterior = infer(batch);
      z = posterior.sample(noise);
      permuted = permute_dimensions(posterior.sample(noise), noise);
    }
    const torch::Tensor joint = log_density_ratio(discriminator_->forward(z));
    const torch::Tensor marginals = log_density_ratio(discriminator_->forward(permuted));
    LossTerms terms;
    terms.loss = 0.5 * discriminator_loss(joint, marginals).sum();
    terms.add_metric("discriminator", terms.loss);
    return terms;
  }

  double gamma_, discriminator_lr_factor_;
  std::shared_ptr<Discriminator> discriminator_;
};

}  // namespace

std::unique_ptr<ModelSpec> factor_vae_spec() {
  return std::make_unique<SpecOf<FactorVae, FactorVaeOptions>>(
      "factor_vae", "VAE with a penalty on the total correlation of z, estimated by a discriminator",
      "Kim & Mnih, Disentangling by Factorising, ICML 2018");
}

}  // namespace elbo
