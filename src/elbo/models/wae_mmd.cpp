// The Wasserstein autoencoder with an MMD penalty (Tolstikhin et al. 2018, algorithm 2) and a Gaussian
// encoder. Only the aggregate posterior is matched to the prior, so there is no bound on log p(x); evaluation
// is the reconstruction term.
#include <torch/types.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/objectives/mmd.h"

namespace elbo {
namespace {

struct WaeOptions : GaussianVaeOptions {
  double lambda = 100.0;
  MmdOptions mmd;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
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
    const torch::Tensor z = posterior.sample(noise);
    const torch::Tensor nats = reconstruction(z, batch);
    const torch::Tensor gap = mmd(z, noise.normal(z.sizes()), options_.mmd);
    return penalized(nats, posterior.kl_to_standard().sum(-1), 0, "mmd",
                     options_.lambda * static_cast<double>(batch.size()) * gap);
  }

  LossTerms evaluate(const Batch& batch, RandomGenerator& noise) override {
    LossTerms terms;
    terms.loss = reconstruction(infer(batch).sample(noise), batch);
    terms.add_metric("reconstruction", terms.loss);
    return terms;
  }
  std::optional<torch::Tensor> log_weights(const Batch&, int64_t, RandomGenerator&) override {
    return std::nullopt;
  }
  // Without weights of importance: the mean of the row's own code.
  torch::Tensor impute(const Batch& batch, int64_t, RandomGenerator&) override {
    return decode_rows(encode(batch), batch);
  }

 private:
  WaeOptions options_;
};

}  // namespace

std::unique_ptr<ModelSpec> wae_mmd_spec() {
  return std::make_unique<SpecOf<WaeMmd, WaeOptions>>(
      "wae_mmd", "Wasserstein autoencoder: an MMD matches the aggregate posterior to the prior",
      "Tolstikhin, Bousquet, Gelly & Schoelkopf, Wasserstein Auto-Encoders, ICLR 2018");
}

}  // namespace elbo
