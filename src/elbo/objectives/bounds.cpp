#include "elbo/objectives/bounds.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>

namespace elbo {

void KlOptions::bind_weight(OptionTable& table) {
  table.add("model.beta", beta, "weight of the KL term after its warm-up (Higgins et al. 2017)",
            Range::at_least(0));
  table.add("model.warmup_steps", warmup_steps,
            "steps over which the weight of the KL term rises linearly from 0 to beta (Bowman et al. 2016)",
            Range::at_least(0));
}

void KlOptions::bind(OptionTable& table) {
  bind_weight(table);
  table.add("model.free_bits", free_bits,
            "nats that each latent dimension may carry, as a mean over the microbatch, before its KL counts "
            "(Kingma et al. 2016)",
            Range::at_least(0));
}

double kl_weight(const KlOptions& options, int64_t step) {
  if (step >= options.warmup_steps) return options.beta;
  return options.beta * static_cast<double>(step) / static_cast<double>(options.warmup_steps);
}

LossTerms negative_elbo(const torch::Tensor& reconstruction, const torch::Tensor& kl,
                        const KlOptions& options, int64_t step) {
  const double weight = kl_weight(options, step);
  const torch::Tensor kl_of_sample = kl.sum(-1);
  LossTerms terms;
  if (options.free_bits > 0) {
    const torch::Tensor paid = kl.mean(0).clamp_min(options.free_bits).sum();
    terms.loss = reconstruction.sum() + weight * static_cast<double>(kl.size(0)) * paid;
  } else {
    terms.loss = reconstruction + weight * kl_of_sample;
  }
  terms.add_metric("reconstruction", reconstruction);
  terms.add_metric("kl", kl_of_sample);
  return terms;
}

void CapacityOptions::bind(OptionTable& table) {
  table.add("model.capacity", capacity,
            "target of the KL term in nats, in place of a weight beta (Burgess et al. 2018); 0: none",
            Range::at_least(0));
  table.add("model.capacity_steps", capacity_steps, "steps over which the capacity rises from 0",
            Range::at_least(0));
  table.add("model.capacity_weight", gamma, "weight of the distance of the KL term from the capacity",
            Range::at_least(0));
}

LossTerms penalized(const torch::Tensor& reconstruction, const torch::Tensor& kl, double kl_weight,
                    const std::string& name, const torch::Tensor& penalty) {
  LossTerms terms;
  terms.loss = reconstruction.sum() + penalty;
  // A KL with weight 0 may be infinite.
  if (kl_weight != 0) terms.loss = terms.loss + kl_weight * kl.sum();
  terms.add_metric("reconstruction", reconstruction);
  terms.add_metric("kl", kl);
  terms.add_metric(name, penalty);
  return terms;
}

LossTerms capacity_objective(const torch::Tensor& reconstruction, const torch::Tensor& kl,
                             const CapacityOptions& options, int64_t step) {
  const double progress = options.capacity_steps > step
                              ? static_cast<double>(step) / static_cast<double>(options.capacity_steps)
                              : 1.0;
  const torch::Tensor distance = (kl.mean() - progress * options.capacity).abs();
  return penalized(reconstruction, kl, 0, "capacity",
                   options.gamma * static_cast<double>(kl.size(0)) * distance);
}

torch::Tensor importance_weighted_bound(const torch::Tensor& log_weights) {
  const torch::Tensor precise = log_weights.to(torch::kFloat64);
  return precise.logsumexp(0) - std::log(static_cast<double>(precise.size(0)));
}

torch::Tensor importance_weighted_mean(const torch::Tensor& log_weights, const torch::Tensor& values) {
  const torch::Tensor by_sample = values.unflatten(0, log_weights.sizes());
  const torch::Tensor weights = log_weights.to(torch::kFloat64).softmax(0).to(values.scalar_type());
  const torch::Tensor sum = (by_sample.flatten(2) * weights.unsqueeze(2)).sum(0);
  return sum.view(by_sample.sizes().slice(1));
}

}  // namespace elbo
