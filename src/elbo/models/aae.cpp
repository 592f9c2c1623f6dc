// The adversarial autoencoder of Makhzani et al. 2016: a discriminator matches the distribution of codes to a
// prior, of which only samples are needed.
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

// The prior of z. With use_labels, its components are the classes.
class Prior {
 public:
  Prior(const AaeOptions& options, const DataShape& data)
      : name_(options.prior),
        latent_(options.latent),
        components_(options.use_labels ? data.classes : default_components) {
    if (name_ != "normal" && latent_ != 2)
      usage_error("model.prior={}: is two-dimensional; expected model.latent=2, not {}", name_, latent_);
    if (!options.use_labels) return;
    if (data.classes == 0)
      usage_error("model.use_labels=true: needs a data set with class labels, and {}",
                  data.label_problem.empty() ? "this one has none"
                                             : "those of this one are left out: " + data.label_problem);
    if (name_ == "normal")
      usage_error(
          "model.use_labels=true: model.prior=normal has no components to assign classes to; use mixture or "
          "swiss_roll");
  }
  int64_t components() const { return components_; }

  // component (n) int64: of each sample → (n, latent).
  torch::Tensor sample(const torch::Tensor& component, RandomGenerator& noise) const {
    if (name_ == "mixture") return gaussian_mixture(component, components_, noise);
    if (name_ == "swiss_roll") return swiss_roll(component, components_, noise);
    return noise.normal({component.size(0), latent_});
  }

 private:
  static constexpr int64_t default_components = 10;
  std::string name_;
  int64_t latent_, components_;
};

class Aae : public Model {
 public:
  Aae(const ModelContext& context, const AaeOptions& options, RandomGenerator& init)
      : latent_(options.latent),
        gaussian_(options.encoder == "gaussian"),
        uses_labels_(options.use_labels),
        discriminator_lr_factor_(options.discriminator.lr_factor),
        prior_(options, context.data) {
    require_numeric_rows(context.data, context.name);
    const std::vector<int64_t>& row = context.data.x;
    likelihood_ = make_likelihood(options.likelihood, likelihood_rows(context.data));
    encoder_ = register_module("encoder", make_encoder(context.network, context.data.encoder_row(),
                                                       (gaussian_ ? 2 : 1) * latent_, init));
    decoder_ = register_module(
        "decoder", make_decoder(context.network, row, latent_, likelihood_->param_channels(), init));
    register_module("likelihood", likelihood_);
    discriminator_ = register_module(
        "discriminator", std::make_shared<Discriminator>(latent_ + (uses_labels_ ? prior_.components() : 0),
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

  // -log p(x|z) and the generator's loss. There is no bound, because only samples of q(z) are available.
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
    const torch::Tensor output = encoder_->forward_input(seen_by(*encoder_, *likelihood_, batch));
    if (!gaussian_) return {output};
    const DiagonalNormal posterior = DiagonalNormal::of(output);
    return {posterior.mean, posterior.logvar};
  }
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    return likelihood_->choose(decoder_->forward(z), choice);
  }
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& label, RandomGenerator& noise) override {
    const bool conditioned = uses_labels_ && label.defined();
    const torch::Tensor component = conditioned ? label : uniform_components(n, prior_.components(), noise);
    return prior_.sample(component, noise);
  }
  bool conditional() const override { return uses_labels_; }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  torch::Tensor code(const Batch& batch, RandomGenerator& noise) {
    const torch::Tensor output = encoder_->forward_input(seen_by(*encoder_, *likelihood_, batch));
    return gaussian_ ? DiagonalNormal::of(output).sample(noise) : output;
  }

  // The logit (b) of the prior against q(z); with labels, of their joint distributions with the label.
  torch::Tensor logit(const torch::Tensor& z, const torch::Tensor& label) {
    if (!uses_labels_) return discriminator_->forward(z).squeeze(1);
    const torch::Tensor one_hot = torch::one_hot(label, prior_.components()).to(z.scalar_type());
    return discriminator_->forward(torch::cat({z, one_hot}, 1)).squeeze(1);
  }

  LossTerms reconstruct(const Batch& batch, const torch::Tensor& z) {
    LossTerms terms;
    terms.loss = -likelihood_->log_prob(decoder_->forward(z), batch.x, batch.observed);
    terms.add_metric("reconstruction", terms.loss);
    return terms;
  }

  LossTerms discriminator_terms(const Batch& batch, RandomGenerator& noise) {
    torch::Tensor fake, real;
    {
      const torch::NoGradGuard no_grad;
      fake = code(batch, noise);
      const torch::Tensor component =
          uses_labels_ ? batch.label : uniform_components(batch.size(), prior_.components(), noise);
      real = prior_.sample(component, noise);
    }
    const torch::Tensor real_logit = logit(real, batch.label);
    LossTerms terms;
    terms.loss = discriminator_loss(real_logit, logit(fake, batch.label));
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
  bool gaussian_, uses_labels_;
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
      "aae", "adversarial autoencoder: a discriminator matches codes to a prior, with labels if wanted",
      "Makhzani, Shlens, Jaitly, Goodfellow & Frey, Adversarial Autoencoders, ICLR workshop 2016");
}

}  // namespace elbo
