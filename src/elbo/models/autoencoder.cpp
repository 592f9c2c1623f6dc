// The deterministic autoencoder: the loss is -log p(x|z) at z = encoder(x). With a gaussian likelihood of
// fixed variance it is the squared error up to a factor and a constant; with bernoulli it is the
// cross-entropy.
#include <torch/types.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"

namespace elbo {
namespace {

class Autoencoder : public Model {
 public:
  Autoencoder(const ModelContext& context, const GaussianVaeOptions& options, RandomGenerator& init)
      : latent_(options.latent) {
    require_numeric_rows(context.data, context.name);
    const std::vector<int64_t>& row = context.data.x;
    likelihood_ = make_likelihood(options.likelihood, likelihood_rows(context.data));
    encoder_ =
        register_module("encoder", make_encoder(context.network, context.data.encoder_row(), latent_, init));
    decoder_ = register_module(
        "decoder", make_decoder(context.network, row, latent_, likelihood_->param_channels(), init));
    register_module("likelihood", likelihood_);
  }

  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator&) override {
    return reconstruct(batch);
  }
  LossTerms evaluate(const Batch& batch, RandomGenerator&) override { return reconstruct(batch); }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override {
    return std::nullopt;
  }

  Latent encode(const Batch& batch) override {
    return {encoder_->forward_input(seen_by(*encoder_, *likelihood_, batch))};
  }
  torch::Tensor decode_as(const torch::Tensor& z, const torch::Tensor&,
                          const ElementChoice& choice) override {
    return likelihood_->choose(decoder_->forward(z), choice);
  }
  // N(0, I), although the objective does not match codes to it.
  torch::Tensor prior_sample(int64_t n, const torch::Tensor& /*label*/, RandomGenerator& noise) override {
    return noise.normal({n, latent_});
  }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  LossTerms reconstruct(const Batch& batch) {
    const torch::Tensor params =
        decoder_->forward(encoder_->forward_input(seen_by(*encoder_, *likelihood_, batch)));
    LossTerms terms;
    terms.loss = -likelihood_->log_prob(params, batch.x, batch.observed);
    terms.add_metric("reconstruction", terms.loss);
    return terms;
  }

  int64_t latent_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
};

}  // namespace

std::unique_ptr<ModelSpec> autoencoder_spec() {
  return std::make_unique<SpecOf<Autoencoder, GaussianVaeOptions>>(
      "autoencoder", "deterministic autoencoder, a baseline without a prior",
      "Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 2006");
}

}  // namespace elbo
