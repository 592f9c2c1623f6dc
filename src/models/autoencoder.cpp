// The deterministic autoencoder: -log p(x|z) at z = encoder(x) and nothing else. With a gaussian likelihood
// of fixed variance that is the squared error but for a factor and a constant; with bernoulli it is the
// cross-entropy.
#include <torch/torch.h>

#include "models/registry.h"
#include "nn/likelihood.h"

namespace elbo {
namespace {

struct AutoencoderOptions {
  int64_t latent = 20;
  LikelihoodOptions likelihood;
};

class Autoencoder : public Model {
 public:
  Autoencoder(const ModelContext& context, const AutoencoderOptions& options, Noise& init)
      : latent_(options.latent) {
    const std::vector<int64_t>& row = context.data.x;
    likelihood_ = make_likelihood(options.likelihood, context.data.is_image());
    encoder_ = register_module("encoder", make_encoder(context.network, row, latent_, init));
    decoder_ =
        register_module("decoder", make_decoder(context.network, row, latent_, likelihood_->maps(), init));
    register_module("likelihood", likelihood_);
  }

  Terms objective(const Pass&, const Batch& batch, Noise&) override { return reconstruct(batch); }
  Terms evaluate(const Batch& batch, Noise&) override { return reconstruct(batch); }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, Noise&) override { return std::nullopt; }

  Code encode(const Batch& batch) override { return {encoder_->forward(batch.x), std::nullopt}; }
  torch::Tensor decode(const torch::Tensor& z) override { return likelihood_->mean(decoder_->forward(z)); }
  // N(0, I), though nothing has made the codes follow it: what such samples show is why one wants a prior.
  torch::Tensor prior_sample(int64_t n, Noise& noise) override { return noise.normal({n, latent_}); }
  int64_t latent_size() const override { return latent_; }
  std::shared_ptr<const Likelihood> likelihood() const override { return likelihood_; }

 private:
  Terms reconstruct(const Batch& batch) {
    const torch::Tensor decoded = decoder_->forward(encoder_->forward(batch.x));
    Terms terms;
    terms.loss = -likelihood_->log_density(decoded, batch.x);
    terms.report("reconstruction", terms.loss);
    return terms;
  }

  int64_t latent_;
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Decoder> decoder_;
  std::shared_ptr<Likelihood> likelihood_;
};

class AutoencoderSpec : public ModelSpec {
 public:
  std::string name() const override { return "autoencoder"; }
  std::string summary() const override { return "deterministic autoencoder, a baseline without a prior"; }
  std::string reference() const override {
    return "Hinton & Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks, Science 2006";
  }
  void bind(OptionTable& table) override {
    table.add("model.latent", options_.latent, "dimensions of z", Range::between(1, 1 << 24));
    options_.likelihood.bind(table);
  }
  std::shared_ptr<Model> build(const ModelContext& context, Noise& init) const override {
    return std::make_shared<Autoencoder>(context, options_, init);
  }

 private:
  AutoencoderOptions options_;
};

}  // namespace

std::unique_ptr<ModelSpec> autoencoder_spec() { return std::make_unique<AutoencoderSpec>(); }

}  // namespace elbo
