#include <torch/types.h>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

class Logistic : public LocationScale {
 public:
  using LocationScale::LocationScale;

 private:
  torch::Tensor log_density(const torch::Tensor& residual, const torch::Tensor& log_scale,
                            const torch::Tensor&) const override {
    const torch::Tensor r = residual * (-log_scale).exp();
    return torch::log_sigmoid(r) + torch::log_sigmoid(-r) - log_scale;  // the density is symmetric
  }
  // The inverse of the distribution function at a uniform number.
  torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const override {
    return torch::logit(open_uniform(sizes, noise)).to(torch::kFloat32);
  }
};

}  // namespace

std::shared_ptr<Likelihood> logistic_likelihood(const LikelihoodOptions& options, const LikelihoodRows&) {
  return std::make_shared<Logistic>(options.variance, options.scale);
}

}  // namespace elbo
