#include <torch/types.h>

#include "elbo/nn/bernoulli.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// The decoder predicts logits. x in [0, 1] may be real: then log p is the cross-entropy.
class Bernoulli : public Likelihood {
 public:
  int64_t param_channels() const override { return 1; }
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    return torch::sigmoid(decoded.squeeze(param_dim));
  }
  torch::Tensor mode(const torch::Tensor& decoded) const override {
    return decoded.squeeze(param_dim).gt(0).to(decoded.scalar_type());
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override {
    return noise.bernoulli(mean(decoded / temperature));
  }
  torch::Tensor deviance(const torch::Tensor& mean, const torch::Tensor& x) const override {
    constexpr double least = 1e-12;  // of a probability, in float64
    const torch::Tensor p = mean.to(torch::kFloat64).clamp(least, 1 - least), y = x.to(torch::kFloat64);
    return 2 * (torch::xlogy(y, y / p) + torch::xlogy(1 - y, (1 - y) / (1 - p)));
  }
  bool discrete() const override { return true; }
  int64_t levels() const override { return 2; }

 private:
  torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    const torch::Tensor logits = decoded.squeeze(batched_param_dim);
    return x * logits - torch::softplus(logits);
  }
  torch::Tensor log_prob_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    return bernoulli_log_prob(decoded.flatten(2), x.flatten(1));
  }
};

}  // namespace

std::shared_ptr<Likelihood> bernoulli_likelihood(const LikelihoodOptions&, const LikelihoodRows&) {
  return std::make_shared<Bernoulli>();
}

}  // namespace elbo
