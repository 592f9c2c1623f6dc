// The β-TCVAE of Chen et al. 2018: the KL term in three parts with a weight for each, so that the total
// correlation can be penalised alone.
#include "elbo/models/gaussian_vae.h"
#include "elbo/models/spec.h"
#include "elbo/objectives/total_correlation.h"

namespace elbo {
namespace {

struct BetaTcVaeOptions : GaussianVaeOptions {
  double alpha = 1.0, beta = 6.0, gamma = 1.0;
  std::string estimator = "stratified";
  void bind(OptionTable& table) {
    GaussianVaeOptions::bind(table);
    table.add("model.alpha", alpha, "weight of the mutual information of x and z", Range::at_least(0));
    table.add("model.beta", beta, "weight of the total correlation of z", Range::at_least(0));
    table.add("model.gamma", gamma, "weight of the dimension-wise KL", Range::at_least(0));
    table.add_choice("model.estimator", estimator, {"stratified", "weighted"},
                     "how the density of z over the training set is estimated from a microbatch");
  }
};

class BetaTcVae : public GaussianVae {
 public:
  BetaTcVae(const ModelContext& context, const BetaTcVaeOptions& options, RandomGenerator& init)
      : GaussianVae(context, options, init),
        options_(options),
        estimator_(options.estimator == "weighted" ? DensityEstimator::weighted
                                                   : DensityEstimator::stratified),
        rows_(context.data.rows) {}

  LossTerms objective(const StepContext&, const Batch& batch, RandomGenerator& noise) override {
    const DiagonalNormal posterior = infer(batch);
    const torch::Tensor z = posterior.sample(noise);
    const torch::Tensor nats = reconstruction(z, batch);
    const KlParts parts = kl_parts(posterior, z, estimator_, rows_);
    LossTerms terms;
    terms.loss = nats + options_.alpha * parts.mutual_information + options_.beta * parts.total_correlation +
                 options_.gamma * parts.dimension_wise;
    terms.add_metric("reconstruction", nats);
    terms.add_metric("kl", posterior.kl_to_standard().sum(-1));
    terms.add_metric("mutual_information", parts.mutual_information);
    terms.add_metric("total_correlation", parts.total_correlation);
    terms.add_metric("dimension_wise_kl", parts.dimension_wise);
    return terms;
  }

 private:
  BetaTcVaeOptions options_;
  DensityEstimator estimator_;
  int64_t rows_;  // of the training split
};

}  // namespace

std::unique_ptr<ModelSpec> beta_tc_vae_spec() {
  return std::make_unique<SpecOf<BetaTcVae, BetaTcVaeOptions>>(
      "beta_tc_vae", "VAE with a weight on the total correlation of z: disentangling",
      "Chen, Li, Grosse & Duvenaud, Isolating Sources of Disentanglement in VAEs, NeurIPS 2018");
}

}  // namespace elbo
