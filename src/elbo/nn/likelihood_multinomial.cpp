#include <torch/types.h>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// Counts, such as the films that a user saw: an event of the row falls on element i with the probability
// softmax(decoded)_i (Liang, Krishnan, Hoffman & Jebara 2018, eq. 2). As there, the multinomial coefficient
// is left out, since it does not depend on parameters.
class Multinomial : public Likelihood {
 public:
  int64_t param_channels() const override { return 1; }
  // The probability of each element: the model does not predict the number of events.
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    return decoded.flatten(1).softmax(1).view_as(decoded).squeeze(param_dim);
  }
  // One event: the most probable, or a sample.
  torch::Tensor mode(const torch::Tensor& decoded) const override {
    const torch::Tensor logits = decoded.flatten(1);
    return torch::zeros_like(logits)
        .scatter(1, logits.argmax(1, true), 1.0)
        .view_as(decoded)
        .squeeze(param_dim);
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override {
    const torch::Tensor cumulative = cumulative_sum((decoded / temperature).flatten(1).softmax(1), 1);
    const torch::Tensor u = noise.uniform({cumulative.size(0), 1});
    const torch::Tensor at = cumulative.le(u).sum(1, true).clamp_max(cumulative.size(1) - 1);
    return torch::zeros_like(cumulative).scatter(1, at, 1.0).view_as(decoded).squeeze(param_dim);
  }
  bool discrete() const override { return false; }
  int64_t levels() const override { return 0; }

 private:
  torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    const torch::Tensor logits = decoded.squeeze(batched_param_dim);
    return logits.flatten(2).log_softmax(2).view_as(logits) * x;
  }
};

}  // namespace

std::shared_ptr<Likelihood> multinomial_likelihood(const LikelihoodOptions&, const LikelihoodRows&) {
  return std::make_shared<Multinomial>();
}

}  // namespace elbo
