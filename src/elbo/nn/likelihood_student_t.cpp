#include <torch/types.h>

#include <cmath>
#include <numbers>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// log p = log Γ((ν+1)/2) - log Γ(ν/2) - log(νπ)/2 - log s - (ν+1)/2 · log(1 + (x - location)²/νs²) (Lange,
// Little & Taylor 1989).
class StudentT : public LocationScale {
 public:
  StudentT(const std::string& variance, double scale, double degrees)
      : LocationScale(variance, scale),
        degrees_(degrees),
        log_constant_(std::lgamma((degrees + 1) / 2) - std::lgamma(degrees / 2) -
                      0.5 * std::log(degrees * std::numbers::pi)) {}

 private:
  torch::Tensor log_density(const torch::Tensor& residual, const torch::Tensor& log_scale,
                            const torch::Tensor&) const override {
    const torch::Tensor squares = (residual * (-log_scale).exp()).square();
    return log_constant_ - log_scale - (degrees_ + 1) / 2 * torch::log1p(squares / degrees_);
  }
  // A normal divided by the root of an independent χ²/ν, where χ² = 2 Gamma(ν/2).
  torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const override {
    const torch::Tensor half =
        torch::full(sizes, degrees_ / 2, torch::dtype(torch::kFloat64).device(noise.device()));
    const torch::Tensor chi_squared = 2 * sample_gamma(half, noise);
    return (noise.normal(sizes) * (degrees_ / chi_squared).sqrt()).to(torch::kFloat32);
  }

  double degrees_, log_constant_;
};

}  // namespace

std::shared_ptr<Likelihood> student_t_likelihood(const LikelihoodOptions& options, const LikelihoodRows&) {
  return std::make_shared<StudentT>(options.variance, options.scale, options.degrees);
}

}  // namespace elbo
