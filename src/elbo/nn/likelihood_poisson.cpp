#include <torch/types.h>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_counts.h"

namespace elbo {
namespace {

// log p = x log μ - μ - log x!.
class Poisson : public Counts {
 public:
  using Counts::Counts;
  torch::Tensor deviance(const torch::Tensor& mean, const torch::Tensor& x) const override {
    constexpr double least = 1e-12;  // of a mean, in float64
    const torch::Tensor mu = mean.to(torch::kFloat64).clamp_min(least), y = x.to(torch::kFloat64);
    return 2 * (torch::xlogy(y, y / mu) - (y - mu));
  }

 private:
  torch::Tensor log_prob_of_counts(const torch::Tensor& x, const torch::Tensor& log_mean,
                                   const torch::Tensor& /*decoded*/) const override {
    return x * log_mean - log_mean.exp() - (x + 1).lgamma();
  }
  torch::Tensor mode_of_counts(const torch::Tensor& mean, const torch::Tensor& /*decoded*/) const override {
    return mean.floor();
  }
  torch::Tensor sample_counts(const torch::Tensor& mean, const torch::Tensor& /*decoded*/,
                              RandomGenerator& noise) const override {
    return sample_poisson(mean, noise);
  }
};

}  // namespace

std::shared_ptr<Likelihood> poisson_likelihood(const LikelihoodOptions& options, const LikelihoodRows&) {
  return std::make_shared<Poisson>(options, /*zero_inflated=*/false);
}

std::shared_ptr<Likelihood> zero_inflated_poisson_likelihood(const LikelihoodOptions& options,
                                                             const LikelihoodRows&) {
  return std::make_shared<Poisson>(options, /*zero_inflated=*/true);
}

}  // namespace elbo
