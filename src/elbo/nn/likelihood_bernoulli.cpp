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
