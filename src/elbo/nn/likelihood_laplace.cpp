#include <torch/types.h>

#include <numbers>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// log p = -|x - location|/b - log 2b.
class Laplace : public LocationScale {
 public:
  using LocationScale::LocationScale;

 private:
  torch::Tensor log_density(const torch::Tensor& residual, const torch::Tensor& log_scale,
                            const torch::Tensor&) const override {
    return -residual.abs() * (-log_scale).exp() - log_scale - std::numbers::ln2;
  }
  torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const override {
    const torch::Tensor centred = open_uniform(sizes, noise) - 0.5;
    return (-centred.sign() * torch::log1p(-2.0 * centred.abs())).to(torch::kFloat32);
  }
};

}  // namespace

std::shared_ptr<Likelihood> laplace_likelihood(const LikelihoodOptions& options, const LikelihoodRows&) {
  return std::make_shared<Laplace>(options.variance, options.scale);
}

}  // namespace elbo
