#include "elbo/models/gaussian_vae.h"

#include <torch/types.h>

#include <algorithm>
#include <vector>

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

void require_complete_rows(const DataShape& data, const std::string& model, const std::string& why) {
  if (data.masked)
    usage_error("data.missing=mask: model.name={} {}; use vae, iwae or miwae, or fill the values in", model,
                why);
}

LikelihoodRows likelihood_rows(const DataShape& data, int64_t classes) {
  return {.shape = data.x, .unit_images = data.is_unit_image(), .classes = classes};
}

LikelihoodOptions adversarial_likelihood(LikelihoodOptions options, const std::string& model) {
  if (options.name == "discretized_logistic" || has_counts(likelihood_support(options.name)))
    usage_error(
        "model.likelihood={}: its mean is not differentiable everywhere or not on the scale of the data, "
        "so {} cannot learn from it; use bernoulli, gaussian, laplace, student_t or categorical",
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
  const int64_t classes = condition_features > 0 ? context.data.classes : 0;
  likelihood_ = make_likelihood(options.likelihood, likelihood_rows(context.data, classes));
  encoder_ = register_module("encoder", make_encoder(context.network, context.data.encoder_row(), 2 * latent_,
                                                     init, condition_features));
  decoder_ = register_module("decoder", make_decoder(context.network, row, latent_ + condition_features,
                                                     likelihood_->param_channels(), init));
  register_module("likelihood", likelihood_);
}

torch::Tensor seen_by(const Encoder& encoder, const Likelihood& likelihood, const Batch& batch) {
  return batch.with_x(encoder.input(likelihood.encoder_input(batch.x))).encoder_input();
}

DiagonalNormal GaussianVae::infer(const Batch& batch) {
  return infer_from(seen_by(*encoder_, *likelihood_, batch), batch.label);
}

DiagonalNormal GaussianVae::infer_from(const torch::Tensor& seen, const torch::Tensor& label) {
  return DiagonalNormal::of(encoder_->forward_input(seen, condition(label)));
}

torch::Tensor GaussianVae::decoder_output(const torch::Tensor& z, const torch::Tensor& label) {
  const torch::Tensor known = condition(label);
  if (!known.defined()) return decoder_->forward(z);
  const torch::Tensor decoded =
      decoder_->forward(torch::cat({z, known.repeat({z.size(0) / known.size(0), 1})}, 1));
  return likelihood_->with_label(decoded, label);
}

torch::Tensor GaussianVae::reconstruction(const torch::Tensor& z, const Batch& batch) {
  return -likelihood_->log_prob(decoder_output(z, batch.label), batch.x, batch.observed);
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
  // Slices of rows that, decoded, stay in a core's cache.
  constexpr int64_t decoded_rows = 1024;
  const int64_t at_once = std::max<int64_t>(1, decoded_rows / batch.size());
  std::vector<torch::Tensor> all;
  for (int64_t first = 0; first < k; first += at_once) {
    const int64_t count = std::min(at_once, k - first);
    all.push_back(joint_at(sample.z.narrow(0, first, count), batch)
                      .log_weights(sample.log_prob.narrow(0, first, count)));
  }
  return torch::cat(all);
}

Latent GaussianVae::encode(const Batch& batch) {
  const DiagonalNormal posterior = infer(batch);
  return {posterior.mean, posterior.logvar, posterior.kl_to_standard()};
}

torch::Tensor GaussianVae::impute(const Batch& batch, int64_t k, RandomGenerator& noise) {
  const DensitySample sample = infer(batch).sample_with_log_prob(noise, k);
  return importance_weighted_mean(joint_at(sample.z, batch).log_weights(sample.log_prob),
                                  decode_as(sample.z.flatten(0, 1), batch.label, {.rows = batch.x}));
}

torch::Tensor GaussianVae::decode_as(const torch::Tensor& z, const torch::Tensor& label,
                                     const ElementChoice& choice) {
  return likelihood_->choose(decoder_output(z, label), choice);
}

}  // namespace elbo
