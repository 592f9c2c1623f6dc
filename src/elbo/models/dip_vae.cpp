// DIP-VAE I and II (Kumar, Sattigeri & Balakrishnan 2018): a penalty on the distance between the covariance
// of z and the identity, estimated within the microbatch.
#include <torch/types.h>

#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"

namespace elbo {
namespace {

struct DipVaeOptions : GaussianVaeOptions {
  std::string kind = "ii";
  double off_diagonal = 10.0, diagonal = 10.0;
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add_choice("model.dip", kind, {"i", "ii"},
                     "i: covariance of the posterior means (eq. 6); ii: covariance of z (eq. 7)");
    table.add("model.lambda_od", off_diagonal, "weight of the off-diagonal covariances", Range::at_least(0));
    table.add("model.lambda_d", diagonal, "weight of the distance of the variances from 1",
              Range::at_least(0));
  }
};

class DipVae : public GaussianVae {
 public:
  DipVae(const ModelContext& context, const DipVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), options_(options) {}

  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor nats = reconstruction(posterior.sample(noise), batch);
    const torch::Tensor penalty = static_cast<double>(batch.size()) * distance_from_identity(posterior);
    return penalized(nats, posterior.kl_to_standard().sum(-1), 1, "dip", penalty);
  }

 private:
  torch::Tensor distance_from_identity(const DiagonalNormal& posterior) const {
    const int64_t b = posterior.mean.size(0);
    const torch::Tensor centred = posterior.mean - posterior.mean.mean(0);
    torch::Tensor covariance = centred.t().matmul(centred) / static_cast<double>(b);
    if (options_.kind == "ii") covariance = covariance + posterior.logvar.exp().mean(0).diag();
    const torch::Tensor variances = covariance.diagonal();
    const torch::Tensor off = covariance.square().sum() - variances.square().sum();
    return options_.off_diagonal * off + options_.diagonal * (variances - 1).square().sum();
  }

  DipVaeOptions options_;
};

}  // namespace

std::unique_ptr<ModelSpec> dip_vae_spec() {
  return std::make_unique<SpecOf<DipVae, DipVaeOptions>>(
      "dip_vae", "VAE with a penalty on correlations of latent dimensions: disentangling",
      "Kumar, Sattigeri & Balakrishnan, Variational Inference of Disentangled Latent Concepts, ICLR 2018");
}

}  // namespace elbo
