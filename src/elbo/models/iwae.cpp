#include "elbo/models/iwae.h"

#include <torch/types.h>

#include "elbo/models/spec.h"
#include "elbo/objectives/bounds.h"

namespace elbo {
namespace {

// log_weights (K, M, b): the bound of each group, and their mean.
LossTerms bound_terms(const torch::Tensor& log_weights) {
  LossTerms terms;
  terms.loss = -importance_weighted_bound(log_weights).mean(0);
  terms.negative_elbo = -log_weights.detach().mean(torch::IntArrayRef{0, 1});
  terms.add_metric("negative_elbo", terms.negative_elbo);
  return terms;
}

}  // namespace

void IwaeOptions::bind(OptionTable& table) {
  GaussianVaeOptions::bind(table);
  table.add("model.importance_samples", samples, "importance samples K of one bound",
            Range::between(1, 1 << 16));
  table.add_choice("model.gradient", gradient, {"standard", "dreg"},
                   "gradient estimator; dreg: doubly reparameterised (Tucker et al. 2019)");
}

torch::Tensor Iwae::grouped(const torch::Tensor& log_weights) const {
  return log_weights.unflatten(0, {options_.samples, options_.groups});
}

LossTerms Iwae::objective(const StepContext&, const Batch& batch, RandomGenerator& noise) {
  const DiagonalNormal posterior = infer(batch);
  if (options_.gradient == "standard") {
    const torch::Tensor z = posterior.sample(noise, options_.samples * options_.groups);
    return bound_terms(grouped(log_weights_at(posterior, z, batch)));
  }
  const torch::Tensor log_weights = doubly_reparameterized(posterior, batch, noise);
  LossTerms terms = bound_terms(log_weights);
  const torch::Tensor normalized = log_weights.detach().softmax(0);
  const torch::Tensor surrogate = -(normalized * log_weights).sum(0).mean(0);
  // The gradient of the surrogate with the value of the bound.
  terms.loss = surrogate + (terms.loss - surrogate).detach();
  return terms;
}

torch::Tensor Iwae::log_weights_at(const DiagonalNormal& posterior, const torch::Tensor& z,
                                   const Batch& batch) {
  const Joint joint = joint_at(z, batch);
  return joint.log_weights(posterior.log_prob(z));
}

torch::Tensor Iwae::doubly_reparameterized(const DiagonalNormal& posterior, const Batch& batch,
                                           RandomGenerator& noise) {
  const torch::Tensor z = posterior.sample(noise, options_.samples * options_.groups);
  // The posterior's parameters get their gradient through z only. There each sample has the square of its
  // normalised weight: one factor is in the surrogate, one is applied here.
  const DiagonalNormal fixed{posterior.mean.detach(), posterior.logvar.detach()};
  const torch::Tensor log_weights = grouped(log_weights_at(fixed, z, batch));
  const torch::Tensor normalized = log_weights.detach().softmax(0).flatten(0, 1).unsqueeze(-1);
  z.register_hook([normalized](const torch::Tensor& gradient) { return gradient * normalized; });
  return log_weights;
}

LossTerms Iwae::evaluate(const Batch& batch, RandomGenerator& noise) {
  const DensitySample sample = infer(batch).sample_with_log_prob(noise, options_.samples * options_.groups);
  return bound_terms(grouped(joint_at(sample.z, batch).log_weights(sample.log_prob)));
}

std::unique_ptr<ModelSpec> iwae_spec() {
  return std::make_unique<SpecOf<Iwae, IwaeOptions>>(
      "iwae", "VAE trained on the importance-weighted bound of K samples",
      "Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016");
}

}  // namespace elbo
