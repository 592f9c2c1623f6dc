#include <torch/types.h>

#include <cmath>
#include <numbers>

#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// log p = -(x - location)²/2σ² - log σ - log(2π)/2.
class Gaussian : public LocationScale {
 public:
  using LocationScale::LocationScale;

 private:
  torch::Tensor log_density(const torch::Tensor& residual, const torch::Tensor& log_scale,
                            const torch::Tensor&) const override {
    const double half_log_two_pi = 0.5 * std::log(2.0 * std::numbers::pi);
    return -0.5 * (residual * (-log_scale).exp()).square() - log_scale - half_log_two_pi;
  }
  torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const override {
    return noise.normal(sizes);
  }
};

}  // namespace

std::shared_ptr<Likelihood> gaussian_likelihood(const LikelihoodOptions& options, const LikelihoodRows&) {
  return std::make_shared<Gaussian>(options.variance, options.scale);
}

}  // namespace elbo
