#include "elbo/nn/likelihood_parts.h"

#include <torch/types.h>

#include <cmath>

#include "elbo/nn/distributions.h"

namespace elbo {

class LocationScale::Scale : public torch::nn::Module {
 public:
  Scale(const std::string& variance, double initial)
      : log_initial_(std::log(initial)), predicted_(variance == "predicted") {
    if (variance == "learned") log_scale_ = register_parameter("log_scale", torch::full({1}, log_initial_));
  }
  int64_t param_channels() const { return predicted_ ? 1 : 0; }

  // The log scale, broadcastable to a row. `dim` of `decoded` holds the location and, if predicted, the
  // scale.
  torch::Tensor log(const torch::Tensor& decoded, int64_t dim) const {
    if (log_scale_.defined()) return log_scale_;
    if (!predicted_) return torch::full({1}, log_initial_, decoded.options());
    // The density of data with repeated values is unbounded as the scale goes to 0. A smooth floor of e⁻⁶
    // times the initial scale prevents this (Rybkin, Daniilidis & Levine 2021, section 4).
    // The ceiling, which no healthy scale comes near, keeps the scale itself finite.
    constexpr double floor = -6.0, ceiling = 30.0;
    const torch::Tensor log_scale = torch::softplus(decoded.select(dim, 1) - floor) + (floor + log_initial_);
    return bounded(log_scale, log_initial_ + floor, log_initial_ + ceiling);
  }

 private:
  double log_initial_;
  bool predicted_;
  torch::Tensor log_scale_;  // (1), undefined unless learned
};

LocationScale::LocationScale(const std::string& variance, double scale)
    : scale_(register_module("scale", std::make_shared<Scale>(variance, scale))) {}

int64_t LocationScale::param_channels() const { return 1 + scale_->param_channels(); }

torch::Tensor LocationScale::sample(const torch::Tensor& decoded, RandomGenerator& noise,
                                    double temperature) const {
  const torch::Tensor location = decoded.select(param_dim, 0);
  const torch::Tensor scale = temperature * scale_->log(decoded, param_dim).exp();
  return location + scale * standard_sample(location.sizes(), noise);
}

torch::Tensor LocationScale::log_prob_of_elements(const torch::Tensor& decoded,
                                                  const torch::Tensor& x) const {
  const torch::Tensor log_scale = scale_->log(decoded, batched_param_dim);
  return log_density(x - decoded.select(batched_param_dim, 0), log_scale, x);
}

}  // namespace elbo
