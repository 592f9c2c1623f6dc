// The Wasserstein autoencoder with an MMD penalty (Tolstikhin et al. 2018, algorithm 2), with a Gaussian
// encoder or a deterministic one, as in their experiments. Only the aggregate posterior is matched to the
// prior, so there is no bound on log p(x); evaluation is the reconstruction term.
#include <torch/types.h>

#include <string>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/objectives/mmd.h"

namespace elbo {
namespace {

struct WaeOptions : GaussianVaeOptions {
  std::string posterior = "gaussian";
  double lambda = 100.0;
  MmdOptions mmd;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add_choice("model.posterior", posterior, {"gaussian", "deterministic"},
                     "what the encoder gives a row: a distribution of codes, or one code (the mean)");
    table.add("model.lambda", lambda, "weight of the MMD", Range::at_least(0));
    mmd.bind(table);
  }
};

class WaeMmd : public GaussianVae {
 public:
  WaeMmd(const ModelContext& context, const WaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), options_(options) {}

  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = code(posterior, noise);
    const torch::Tensor nats = reconstruction(z, batch);
    const torch::Tensor penalty =
        options_.lambda * static_cast<double>(batch.size()) * mmd(z, noise.normal(z.sizes()), options_.mmd);
    if (!is_deterministic()) return penalized(nats, posterior.kl_to_standard().sum(-1), 0, "mmd", penalty);
    LossTerms terms;
    terms.loss = nats.sum() + penalty;
    terms.add_metric("reconstruction", nats);
    terms.add_metric("mmd", penalty);
    return terms;
  }

  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    LossTerms terms;
    terms.loss = reconstruction(code(infer(batch), noise), batch);
    terms.add_metric("reconstruction", terms.loss);
    return terms;
  }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override {
    return std::nullopt;
  }
  Latent encode(const Batch& batch) override {
    return is_deterministic() ? Latent{infer(batch).mean} : GaussianVae::encode(batch);
  }
  // Without weights of importance: the mean of the row's own code.
  torch::Tensor impute(const Batch& batch, int64_t, RandomGenerator&) override {
    return decode_rows(encode(batch), batch);
  }

 private:
  bool is_deterministic() const { return options_.posterior == "deterministic"; }
  torch::Tensor code(const DiagonalNormal& posterior, RandomGenerator& noise) const {
    return is_deterministic() ? posterior.mean : posterior.sample(noise);
  }

  WaeOptions options_;
};

}  // namespace

std::unique_ptr<ModelSpec> wae_mmd_spec() {
  return std::make_unique<SpecOf<WaeMmd, WaeOptions>>(
      "wae_mmd", "Wasserstein autoencoder: an MMD matches the aggregate posterior to the prior",
      "Tolstikhin, Bousquet, Gelly & Schoelkopf, Wasserstein Auto-Encoders, ICLR 2018");
}

}  // namespace elbo
