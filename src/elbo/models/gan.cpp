// The generative adversarial network of Goodfellow et al. 2014. The generator is the decoder of the other
// variants. An encoder learns to predict z from G(z) (the latent regressor of Donahue, Krähenbühl & Darrell
// 2017), so that rows can be encoded; it does not influence generator and discriminator.
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/discriminator.h"
#include "elbo/objectives/adversarial.h"

namespace elbo {
namespace {

struct GanOptions : GaussianVaeOptions {
  RowDiscriminatorOptions discriminator;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    discriminator.bind(table);
  }
};

class Gan : public Model {
 public:
  Gan(const ModelContext& context, const GanOptions& options, RandomGenerator& init)
      : latent_(options.latent),
        r1_penalty_(options.discriminator.r1_penalty),
        discriminator_lr_factor_(options.discriminator.lr_factor) {
    require_numeric_rows(context.data, context.name);
    require_complete_rows(context.data, context.name, "has a discriminator, which sees whole rows");
    const std::vector<int64_t>& row = context.data.x;
    likelihood_ = make_likelihood(adversarial_likelihood(options.likelihood, context.name),
                                  likelihood_rows(context.data));
    encoder_ = register_module("encoder", make_encoder(context.network, row, latent_, init));
    decoder_ = register_module(
        "decoder", make_decoder(context.network, row, latent_, likelihood_->param_channels(), init));
    register_module("likelihood", likelihood_);
    discriminator_ = register_module("discriminator", make_encoder(context.network, row, 1, init));
  }

  std::vector<Phase> phases() const override {
    return {{"generator", {"decoder"}},
            {.name = "discriminator", .modules = {"discriminator"}, .lr_factor = discriminator_lr_factor_},
            {"encoder", {"encoder"}}};
  }

  // The loss of the phase's module, with a metric of its name.
  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    const torch::Tensor z = prior_sample(batch.size(), {}, noise);
    LossTerms terms;
    if (step_context.phase == "generator") terms.loss = generator_loss(logit(generate(z)));
    if (step_context.phase == "discriminator") return discriminator_terms(batch, z);
    if (step_context.phase == "encoder") terms.loss = code_error(z);
    terms.add_metric(step_context.phase, terms.loss);
    return terms;
  }

  // -log p(x|z) at z = encoder(x), and the losses of discriminator and encoder. There is no bound: a GAN has
  // no density.
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    const torch::Tensor z = prior_sample(batch.size(), {}, noise);
    LossTerms terms;
    terms.loss = -likelihood_->log_prob(decoder_->forward(encoder_->forward(batch.x)), batch.x);
    terms.add_metric("reconstruction", terms.loss);
    const torch::Tensor real_logit = logit(batch.x);
    terms.add_metric("discriminator", discriminator_loss(real_logit, logit(generate_without_gradient(z))));
    terms.add_metric("encoder", code_error(z));
    return terms;
  }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override {
    return std::nullopt;
  }

  Latent encode(const Batch& batch) override { return {encoder_->forward(batch.x)}; }
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    return likelihood_->choose(decoder_->forward(z), choice);
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return noise.normal({n, latent_});
  }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  // Samples are the likelihood's mean, which for images is in [0, 1].
  torch::Tensor generate(const torch::Tensor& z) { return likelihood_->mean(decoder_->forward(z)); }
  torch::Tensor generate_without_gradient(const torch::Tensor& z) {
    const torch::NoGradGuard no_grad;
    return generate(z);
  }
  torch::Tensor logit(const torch::Tensor& x) { return discriminator_->forward(x).squeeze(1); }

  LossTerms discriminator_terms(const Batch& batch, const torch::Tensor& z) {
    const torch::Tensor real = batch.x.detach().requires_grad_(r1_penalty_ > 0);
    const torch::Tensor real_logit = logit(real);
    LossTerms terms;
    terms.loss = discriminator_loss(real_logit, logit(generate_without_gradient(z)));
    terms.add_metric("discriminator", terms.loss);
    if (r1_penalty_ > 0) terms.loss = terms.loss + r1_penalty_ * r1_penalty(real_logit, real);
    return terms;
  }

  // |E(G(z)) - z|², (b).
  torch::Tensor code_error(const torch::Tensor& z) {
    return (encoder_->forward(generate_without_gradient(z)) - z).square().sum(1);
  }

  int64_t latent_;
  double r1_penalty_, discriminator_lr_factor_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
  std::shared_ptr<Encoder> discriminator_;
};

}  // namespace

std::unique_ptr<ModelSpec> gan_spec() {
  return std::make_unique<SpecOf<Gan, GanOptions>>(
      "gan", "generative adversarial network, for comparison; an encoder learns to invert the generator",
      "Goodfellow et al., Generative Adversarial Nets, NIPS 2014");
}

}  // namespace elbo
