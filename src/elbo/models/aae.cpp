// The adversarial autoencoder of Makhzani et al. 2016: an autoencoder whose codes an adversary makes follow a
// prior that only has to be drawn from.
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/base/error.h"
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/nn/discriminator.h"
#include "elbo/nn/planar_priors.h"
#include "elbo/objectives/adversarial.h"

namespace elbo {
namespace {

struct AaeOptions : GaussianVaeOptions {
  std::string encoder = "deterministic";
  std::string prior = "normal";
  bool use_labels = false;
  DiscriminatorOptions discriminator;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add_choice("model.encoder", encoder, {"deterministic", "gaussian"},
                     "q(z|x); deterministic: a point; gaussian: a Gaussian with a diagonal covariance");
    table.add_choice("model.prior", prior, {"normal", "mixture", "swiss_roll"},
                     "prior of z; normal: N(0, I); mixture: Gaussians on a circle; swiss_roll; the last two "
                     "need two dimensions");
    table.add("model.use_labels", use_labels, "gives each class its part of a mixture or a swiss_roll");
    discriminator.bind(table);
  }
};

// What z is made to follow. Its parts are the classes where labels guide the codes.
class Prior {
 public:
  Prior(const AaeOptions& options, int64_t classes)
      : name_(options.prior), latent_(options.latent), parts_(options.use_labels ? classes : unguided_parts) {
    if (name_ != "normal" && latent_ != 2)
      usage_error("model.prior={}: is a distribution of the plane; needs model.latent=2, not {}", name_,
                  latent_);
    if (!options.use_labels) return;
    if (classes == 0)
      usage_error("model.use_labels=true: needs a data set whose rows have classes, this one has none");
    if (name_ == "normal")
      usage_error(
          "model.use_labels=true: model.prior=normal has no parts that classes could have; choose mixture or "
          "swiss_roll");
  }
  int64_t parts() const { return parts_; }

  // part (n): of each draw → (n, latent).
  torch::Tensor sample(const torch::Tensor& part, RandomGenerator& noise) const {
    if (name_ == "mixture") return petals(part, parts_, noise);
    if (name_ == "swiss_roll") return swiss_roll(part, parts_, noise);
    return noise.normal({part.size(0), latent_});
  }

 private:
  static constexpr int64_t unguided_parts = 10;
  std::string name_;
  int64_t latent_, parts_;
};

class Aae : public Model {
 public:
  Aae(const ModelContext& context, const AaeOptions& options, RandomGenerator& init)
      : latent_(options.latent),
        gaussian_(options.encoder == "gaussian"),
        guided_(options.use_labels),
        discriminator_lr_factor_(options.discriminator.lr_factor),
        prior_(options, context.data.classes) {
    require_quantities(context.data, context.name);
    const std::vector<int64_t>& row = context.data.x;
    likelihood_ = make_likelihood(options.likelihood, context.data.is_image());
    encoder_ =
        register_module("encoder", make_encoder(context.network, row, (gaussian_ ? 2 : 1) * latent_, init));
    decoder_ = register_module(
        "decoder", make_decoder(context.network, row, latent_, likelihood_->param_channels(), init));
    register_module("likelihood", likelihood_);
    discriminator_ = register_module("discriminator",
                                     std::make_shared<Discriminator>(latent_ + (guided_ ? prior_.parts() : 0),
                                                                     options.discriminator, 1, init));
  }

  std::vector<Phase> phases() const override {
    return {{"reconstruction", {"encoder", "decoder", "likelihood"}},
            {.name = "discriminator", .modules = {"discriminator"}, .lr_factor = discriminator_lr_factor_},
            {"generator", {"encoder"}}};
  }

  LossTerms objective(const StepContext& step_context, const Batch& batch, RandomGenerator& noise) override {
    if (step_context.phase == "discriminator") return discriminator_terms(batch, noise);
    if (step_context.phase == "generator") return generator_terms(batch, noise);
    return reconstruct(batch, code(batch, noise));
  }

  // -log p(x|z) and how the code looks to the discriminator. There is no bound, because nothing but draws is
  // known of q(z).
  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    const torch::Tensor z = code(batch, noise);
    LossTerms terms = reconstruct(batch, z);
    terms.add_metric("generator", generator_loss(logit(z, batch.label)));
    return terms;
  }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override {
    return std::nullopt;
  }

  Latent encode(const Batch& batch) override {
    const torch::Tensor output = encoder_->forward(batch.x);
    if (!gaussian_) return {output};
    const DiagonalNormal posterior = DiagonalNormal::of(output);
    return {posterior.mean, posterior.logvar};
  }
  torch::Tensor decode(const torch::Tensor& z, const torch::Tensor&) override {
    return likelihood_->mean(decoder_->forward(z));
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) override {
    const bool chosen = guided_ && label.defined();
    const torch::Tensor part = chosen ? label : uniform_parts(n, prior_.parts(), noise);
    return prior_.sample(part, noise);
  }
  bool conditional() const override { return guided_; }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  torch::Tensor code(const Batch& batch, RandomGenerator& noise) {
    const torch::Tensor output = encoder_->forward(batch.x);
    return gaussian_ ? DiagonalNormal::of(output).sample(noise) : output;
  }

  // Of the prior against q(z), (b); with labels, of the joint distributions with them.
  torch::Tensor logit(const torch::Tensor& z, const torch::Tensor& label) {
    if (!guided_) return discriminator_->forward(z).squeeze(1);
    const torch::Tensor known = torch::one_hot(label, prior_.parts()).to(z.scalar_type());
    return discriminator_->forward(torch::cat({z, known}, 1)).squeeze(1);
  }

  LossTerms reconstruct(const Batch& batch, const torch::Tensor& z) {
    LossTerms terms;
    terms.loss = -likelihood_->log_prob(decoder_->forward(z), batch.x);
    terms.add_metric("reconstruction", terms.loss);
    return terms;
  }

  LossTerms discriminator_terms(const Batch& batch, RandomGenerator& noise) {
    torch::Tensor fake, real;
    {
      const torch::NoGradGuard constant;
      fake = code(batch, noise);
      const torch::Tensor part = guided_ ? batch.label : uniform_parts(batch.size(), prior_.parts(), noise);
      real = prior_.sample(part, noise);
    }
    const torch::Tensor logit_of_real = logit(real, batch.label);
    LossTerms terms;
    terms.loss = discriminator_loss(logit_of_real, logit(fake, batch.label));
    terms.add_metric("discriminator", terms.loss);
    return terms;
  }

  LossTerms generator_terms(const Batch& batch, RandomGenerator& noise) {
    LossTerms terms;
    terms.loss = generator_loss(logit(code(batch, noise), batch.label));
    terms.add_metric("generator", terms.loss);
    return terms;
  }

  int64_t latent_;
  bool gaussian_, guided_;
  double discriminator_lr_factor_;
  Prior prior_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
  std::shared_ptr<Discriminator> discriminator_;
};

}  // namespace

std::unique_ptr<ModelSpec> aae_spec() {
  return std::make_unique<SpecOf<Aae, AaeOptions>>(
      "aae", "adversarial autoencoder: codes follow a prior that is drawn from, with labels if wanted",
      "Makhzani, Shlens, Jaitly, Goodfellow & Frey, Adversarial Autoencoders, ICLR workshop 2016");
}

}  // namespace elbo
