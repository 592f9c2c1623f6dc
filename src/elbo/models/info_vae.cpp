// The InfoVAE of Zhao, Song & Ermon 2019, eq. 6: the KL of each posterior with the weight 1-α, and the MMD
// between the aggregate posterior and the prior with the weight α+λ-1.
#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/objectives/mmd.h"

namespace elbo {
namespace {

struct InfoVaeOptions : GaussianVaeOptions {
  double alpha = 0.0, lambda = 100.0;
  MmdOptions mmd{.kernel = "rbf"};
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add("model.alpha", alpha, "sets the weight of the KL term, 1 - alpha", Range::between(-1e6, 1));
    table.add("model.lambda", lambda, "sets the weight of the MMD, alpha + lambda - 1", Range::at_least(0));
    mmd.bind(table);
  }
};

class InfoVae : public GaussianVae {
 public:
  InfoVae(const ModelContext& context, const InfoVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init), options_(options) {
    if (options.alpha + options.lambda < 1)
      usage_error(
          "model.lambda={:g}: the weight alpha + lambda - 1 of the MMD would be negative; expected at least "
          "{:g}",
          options.lambda, 1 - options.alpha);
  }

  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = posterior.sample(noise);
    const torch::Tensor nats = reconstruction(z, batch);
    const torch::Tensor kl = posterior.kl_to_standard().sum(-1);
    const torch::Tensor gap = mmd(z, noise.normal(z.sizes()), options_.mmd);
    const double weight = (options_.alpha + options_.lambda - 1) * static_cast<double>(batch.size());
    return penalized(nats, kl, 1 - options_.alpha, "mmd", weight * gap);
  }

 private:
  InfoVaeOptions options_;
};

}  // namespace

std::unique_ptr<ModelSpec> info_vae_spec() {
  return std::make_unique<SpecOf<InfoVae, InfoVaeOptions>>(
      "info_vae", "VAE that keeps information in z: the MMD of the aggregate posterior from the prior",
      "Zhao, Song & Ermon, InfoVAE: Balancing Learning and Inference in VAEs, AAAI 2019");
}

}  // namespace elbo
