// The VAE/GAN of Larsen et al. 2016: the reconstruction error is measured in the features of a discriminator
// between data and decoded rows. Features are the input of its last layer.
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/discriminator.h"
#include "elbo/objectives/adversarial.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

struct VaeGanOptions : GaussianVaeOptions {
  double gamma = 0.1;
  double feature_scale = 0.1;
  RowDiscriminatorOptions discriminator;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add("model.gamma", gamma,
              "weight of the reconstruction error in features, relative to the adversarial loss, in the loss "
              "of the decoder",
              Range::at_least(0));
    table.add("model.feature_scale", feature_scale,
              "standard deviation of the features given z; a smaller one reduces the weight of the KL term",
              Range::above(0));
    discriminator.bind(table);
  }
};

GaussianVaeOptions adversarial_likelihood(GaussianVaeOptions options, const std::string& model) {
  options.likelihood = adversarial_likelihood(options.likelihood, model);
  return options;
}

class VaeGan : public GaussianVae {
 public:
  VaeGan(const ModelContext& context, const VaeGanOptions& options, RandomGenerator& init)
      : GaussianVae(context, adversarial_likelihood(options, context.name), init),
        gamma_(options.gamma),
        feature_scale_(options.feature_scale),
        r1_penalty_(options.discriminator.r1_penalty),
        discriminator_lr_factor_(options.discriminator.lr_factor),
        discriminator_(
            register_module("discriminator", make_encoder(context.network, context.data.x, 1, init))) {
    require_complete_rows(context.data, context.name, "has a discriminator, which sees whole rows");
  }

  std::vector<Phase> phases() const override {
    return {{"encoder", {"encoder"}},
            {"decoder", {"decoder"}},
            {.name = "discriminator", .modules = {"discriminator"}, .lr_factor = discriminator_lr_factor_}};
  }

  // Larsen et al. 2016, algorithm 1.
  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    if (step_context.phase == "encoder") return encoder_terms(batch, noise);
    if (step_context.phase == "decoder") return generator_terms(batch, noise);
    return discriminator_terms(batch, noise);
  }

  // -ELBO of the VAE of encoder, decoder and likelihood, and the feature error at the same z.
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = posterior.sample(noise);
    LossTerms terms = negative_elbo(reconstruction(z, batch), posterior.kl_to_standard(), {}, 0);
    terms.add_metric("features", feature_error(batch.x, discriminator_->features(decode(z, batch.label))));
    return terms;
  }

 private:
  // -log N(D_l(x) | D_l(x̃), s²I) up to a constant, (b), with features D_l and scale s. The paper has s = 1;
  // its discriminator has larger features than one with the R1 penalty.
  torch::Tensor feature_error(const torch::Tensor& x, const torch::Tensor& decoded_features) {
    const torch::Tensor error = discriminator_->features(x) - decoded_features;
    return 0.5 * (error / feature_scale_).square().sum(1);
  }

  // Codes of the rows, then samples of the prior: (2b, latent). Without gradients for the encoder.
  torch::Tensor codes_and_samples(const Batch& batch, RandomGenerator& noise) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor codes = infer(batch).sample(noise);
    return torch::cat({codes, prior_sample(batch.size(), {}, noise)});
  }

  LossTerms encoder_terms(const Batch& batch, RandomGenerator& noise) {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor decoded = decode(posterior.sample(noise), batch.label);
    const torch::Tensor error = feature_error(batch.x, discriminator_->features(decoded));
    const torch::Tensor kl = posterior.kl_to_standard().sum(1);
    LossTerms terms;
    terms.loss = error + kl;
    terms.add_metric("features", error);
    terms.add_metric("kl", kl);
    return terms;
  }

  // The non-saturating generator loss on rows decoded from codes and from samples of the prior.
  LossTerms generator_terms(const Batch& batch, RandomGenerator& noise) {
    const torch::Tensor features =
        discriminator_->features(decode(codes_and_samples(batch, noise), batch.label));
    const torch::Tensor error = feature_error(batch.x, features.narrow(0, 0, batch.size()));
    const torch::Tensor adversarial = generator_loss(discriminator_->outputs(features).view({2, -1})).sum(0);
    LossTerms terms;
    terms.loss = gamma_ * error + adversarial;
    terms.add_metric("generator", adversarial);
    return terms;
  }

  // Both rows decoded from codes and rows decoded from samples of the prior are fake.
  LossTerms discriminator_terms(const Batch& batch, RandomGenerator& noise) {
    torch::Tensor fake;
    {
      const torch::NoGradGuard no_grad;
      fake = decode(codes_and_samples(batch, noise), batch.label);
    }
    const torch::Tensor real = batch.x.detach().requires_grad_(r1_penalty_ > 0);
    const torch::Tensor real_logit = discriminator_->forward(real).squeeze(1);
    const torch::Tensor fake_logits = discriminator_->forward(fake).view({2, -1});
    LossTerms terms;
    terms.loss = torch::softplus(-real_logit) + torch::softplus(fake_logits).sum(0);
    terms.add_metric("discriminator", terms.loss);
    if (r1_penalty_ > 0) terms.loss = terms.loss + r1_penalty_ * r1_penalty(real_logit, real);
    return terms;
  }

  double gamma_, feature_scale_, r1_penalty_, discriminator_lr_factor_;
  std::shared_ptr<Encoder> discriminator_;
};

}  // namespace

std::unique_ptr<ModelSpec> vae_gan_spec() {
  return std::make_unique<SpecOf<VaeGan, VaeGanOptions>>(
      "vae_gan", "VAE that reconstructs the features of a discriminator",
      "Larsen, Sønderby, Larochelle & Winther, Autoencoding beyond Pixels, ICML 2016");
}

}  // namespace elbo
