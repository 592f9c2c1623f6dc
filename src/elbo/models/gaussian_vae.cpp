#include "elbo/models/gaussian_vae.h"

#include <torch/types.h>

#include "elbo/base/error.h"

namespace elbo {

void GaussianVaeOptions::bind(OptionTable& table) {
  table.add("model.latent", latent, "dimensions of z", Range::between(1, 1 << 24));
  likelihood.bind(table);
}

void WeightedVaeOptions::bind(OptionTable& table) {
  GaussianVaeOptions::bind(table);
  kl.bind(table);
}

void require_numeric_rows(const DataShape& data, const std::string& model) {
  if (data.tokens > 0)
    usage_error("model.name={}: needs numeric rows, and this data set has tokens; use sequence_vae", model);
}

LikelihoodOptions adversarial_likelihood(LikelihoodOptions options, const std::string& model) {
  if (options.name == "discretized_logistic" || options.name == "multinomial")
    usage_error(
        "model.likelihood={}: its mean is not differentiable everywhere or not on the scale of the data, "
        "so {} cannot learn from it; use bernoulli, gaussian, laplace or categorical",
        options.name, model);
  if (options.name == "mixed")
    usage_error(
        "model.likelihood=mixed: {} does not maximise p(x|z), so it cannot learn its scales; use gaussian",
        model);
  if (options.variance == "auto") options.variance = "fixed";
  if (options.variance != "fixed")
    usage_error(
        "model.likelihood_variance={}: {} does not maximise p(x|z), so it cannot learn a variance; use "
        "fixed",
        options.variance, model);
  return options;
}

GaussianVae::GaussianVae(const ModelContext& context, const GaussianVaeOptions& options,
                         RandomGenerator& init, int64_t condition_features)
    : latent_(options.latent) {
  require_numeric_rows(context.data, context.name);
  const std::vector<int64_t>& row = context.data.x;
  likelihood_ = make_likelihood(options.likelihood, context.data.is_unit_image());
  encoder_ =
      register_module("encoder", make_encoder(context.network, row, 2 * latent_, init, condition_features));
  decoder_ = register_module("decoder", make_decoder(context.network, row, latent_ + condition_features,
                                                     likelihood_->param_channels(), init));
  register_module("likelihood", likelihood_);
}

DiagonalNormal GaussianVae::infer(const torch::Tensor& x, const torch::Tensor& label) {
  return DiagonalNormal::of(encoder_->forward(likelihood_->encoder_input(x), condition(label)));
}

torch::Tensor GaussianVae::decoder_output(const torch::Tensor& z, const torch::Tensor& label) {
  const torch::Tensor known = condition(label);
  if (!known.defined()) return decoder_->forward(z);
  return decoder_->forward(torch::cat({z, known.repeat({z.size(0) / known.size(0), 1})}, 1));
}

torch::Tensor GaussianVae::reconstruction(const torch::Tensor& z, const Batch& batch) {
  return -likelihood_->log_prob(decoder_output(z, batch.label), batch.x);
}

torch::Tensor GaussianVae::log_prior(const torch::Tensor& z) { return standard_normal_log_prob(z); }

GaussianVae::Joint GaussianVae::joint_at(const torch::Tensor& z, const Batch& batch) {
  const torch::Tensor log_p = log_prior(z);
  return {log_p, reconstruction(z.flatten(0, 1), batch).view({z.size(0), -1})};
}

LossTerms GaussianVae::objective(const StepContext&, const Batch& batch, RandomGenerator& noise) {
  return evaluate(batch, noise);
}

LossTerms GaussianVae::evaluate(const Batch& batch, RandomGenerator& noise) {
  return weighted_bound(infer(batch), batch, noise, {}, 0);
}

LossTerms GaussianVae::weighted_bound(const DiagonalNormal& posterior, const Batch& batch,
                                      RandomGenerator& noise, const KlOptions& kl, int64_t step) {
  const torch::Tensor nats = reconstruction(posterior.sample(noise), batch);
  return negative_elbo(nats, posterior.kl_to_standard(), kl, step);
}

std::optional<torch::Tensor> GaussianVae::log_weights(const Batch& batch, int64_t k, RandomGenerator& noise) {
  const DensitySample sample = infer(batch).sample_with_log_prob(noise, k);
  return joint_at(sample.z, batch).log_weights(sample.log_prob);
}

Latent GaussianVae::encode(const Batch& batch) {
  const DiagonalNormal posterior = infer(batch);
  return {posterior.mean, posterior.logvar, posterior.kl_to_standard()};
}

torch::Tensor GaussianVae::decode(const torch::Tensor& z, const torch::Tensor& label) {
  return likelihood_->mean(decoder_output(z, label));
}

}  // namespace elbo
