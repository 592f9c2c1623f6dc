#include "elbo/eval/anomaly_scores.h"

#include <torch/types.h>

namespace elbo {
namespace {

torch::Tensor sum_of_row(const torch::Tensor& elements) {
  return elements.flatten(1).sum(1, /*keepdim=*/false, torch::kFloat64);
}

void add_errors(Model& model, const Batch& batch, NamedScores& scores) {
  constexpr double least = 1e-12;  // of the square of a row of zeros
  const torch::Tensor reconstruction = model.decode_rows(model.encode(batch), batch);
  const torch::Tensor mask = counted_elements(model, batch);
  const torch::Tensor error = sum_of_row((batch.x - reconstruction).square() * mask);
  scores.emplace_back("squared_error", error / sum_of_row(mask).clamp_min(1));
  scores.emplace_back("relative_error", error / sum_of_row(batch.x.square() * mask).clamp_min(least));
  if (const torch::Tensor deviance = model.likelihood()->deviance(reconstruction, batch.x);
      deviance.defined())
    scores.emplace_back("deviance", sum_of_row(deviance * mask));
}

}  // namespace

NamedScores anomaly_scores(Model& model, const Batch& batch, int64_t microbatch,
                           const EvaluationOptions& options, bool has_bound) {
  NamedScores scores;
  if (options.importance_samples > 0) {
    const ImportanceEstimates estimates = importance_estimates(model, batch, microbatch, options);
    scores = {{"negative_elbo", estimates.negative_elbo}, {"nll", estimates.nll}};
  } else {
    RandomGenerator noise = noise_of_loss(options, microbatch, model);
    const LossTerms terms = model.evaluate(batch, noise);
    scores = {{has_bound ? "negative_elbo" : "loss",
               terms.negative_elbo.defined() ? terms.negative_elbo : terms.loss}};
  }
  if (model.likelihood()) add_errors(model, batch, scores);
  for (auto& [name, values] : scores) values = values.to(torch::kFloat32);
  return scores;
}

bool has_bound(Model& model, const Batch& batch) {
  RandomGenerator noise(Key(0), batch.x.device());
  return model.log_weights(batch, 1, noise).has_value();
}

torch::Tensor residuals(Model& model, const Batch& batch) {
  const torch::Tensor reconstruction = model.decode_rows(model.encode(batch), batch);
  return (batch.x - reconstruction) * counted_elements(model, batch);
}

}  // namespace elbo
