// The variational autoencoder of Kingma & Welling 2014, with the weight of its KL term (Higgins et al. 2017),
// warm-up and free bits as settings.
#include <torch/torch.h>

#include "models/registry.h"
#include "nn/distributions.h"
#include "nn/likelihood.h"
#include "objectives/bounds.h"

namespace elbo {
namespace {

struct VaeOptions {
  int64_t latent = 20;
  LikelihoodOptions likelihood;
  KlOptions kl;
};

class Vae : public Model {
 public:
  Vae(const ModelContext& context, const VaeOptions& options, Noise& init) : options_(options) {
    const std::vector<int64_t>& row = context.data.x;
    likelihood_ = make_likelihood(options.likelihood, context.data.is_image());
    encoder_ = register_module("encoder", make_encoder(context.network, row, 2 * options.latent, init));
    decoder_ = register_module("decoder",
                               make_decoder(context.network, row, options.latent, likelihood_->maps(), init));
    register_module("likelihood", likelihood_);
  }

  Terms objective(const Pass& pass, const Batch& batch, Noise& noise) override {
    return bound(batch, noise, options_.kl, pass.step);
  }
  Terms evaluate(const Batch& batch, Noise& noise) override { return bound(batch, noise, KlOptions{}, 0); }

  std::optional<torch::Tensor> log_weights(const Batch& batch, int64_t k, Noise& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = posterior.sample(noise, k);
    const torch::Tensor reconstruction =
        likelihood_->log_density(decoder_->forward(z.flatten(0, 1)), batch.x);
    return reconstruction.view({k, -1}) + standard_normal_log_density(z) - posterior.log_density(z);
  }

  Code encode(const Batch& batch) override {
    const DiagonalNormal posterior = infer(batch);
    return {posterior.mean, posterior.logvar};
  }
  torch::Tensor decode(const torch::Tensor& z) override { return likelihood_->mean(decoder_->forward(z)); }
  torch::Tensor prior_sample(int64_t n, Noise& noise) override { return noise.normal({n, options_.latent}); }
  int64_t latent_size() const override { return options_.latent; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  DiagonalNormal infer(const Batch& batch) { return DiagonalNormal::of(encoder_->forward(batch.x)); }

  Terms bound(const Batch& batch, Noise& noise, const KlOptions& kl, int64_t step) {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor decoded = decoder_->forward(posterior.sample(noise));
    return negative_elbo(-likelihood_->log_density(decoded, batch.x), posterior.kl_to_standard(), kl, step);
  }

  VaeOptions options_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
};

class VaeSpec : public ModelSpec {
 public:
  std::string name() const override { return "vae"; }
  std::string summary() const override {
    return "variational autoencoder with a diagonal Gaussian posterior";
  }
  std::string reference() const override {
    return "Kingma & Welling, Auto-Encoding Variational Bayes, ICLR 2014";
  }
  void bind(OptionTable& table) override {
    table.add("model.latent", options_.latent, "dimensions of z", Range::between(1, 1 << 24));
    options_.likelihood.bind(table);
    options_.kl.bind(table);
  }
  std::shared_ptr<Model> build(const ModelContext& context, Noise& init) const override {
    return std::make_shared<Vae>(context, options_, init);
  }

 private:
  VaeOptions options_;
};

}  // namespace

std::unique_ptr<ModelSpec> vae_spec() { return std::make_unique<VaeSpec>(); }

}  // namespace elbo
