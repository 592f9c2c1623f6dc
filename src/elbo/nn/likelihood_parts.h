// What several likelihoods share: the scale of location-scale families, and positions of dimensions.
#pragma once
#include <torch/types.h>

#include <memory>
#include <string>

#include "elbo/nn/likelihood.h"

namespace elbo {

// The dimension of the parameters in (k, b, param_channels, …row) and in (n, param_channels, …row). It is the
// one before the row, as rows have any rank.
constexpr int64_t batched_param_dim = 2, param_dim = 1;

inline torch::Tensor sum_over_row(const torch::Tensor& elements) {  // (k, b, …row) → (k, b)
  return elements.flatten(2).sum(-1);
}

// A location-scale family: the decoder predicts the location and, with the variance `predicted`, the log
// scale.
class LocationScale : public Likelihood {
 public:
  // variance: fixed | learned | predicted. scale: the fixed or the initial value.
  LocationScale(const std::string& variance, double scale);

  int64_t param_channels() const override;
  torch::Tensor mean(const torch::Tensor& decoded) const override { return decoded.select(param_dim, 0); }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override;
  bool discrete() const override { return false; }
  int64_t levels() const override { return 256; }

 protected:
  torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const override;

 private:
  // residual = x - location (k, b, …row), log_scale broadcastable to it → log p, (k, b, …row), nats.
  virtual torch::Tensor log_density(const torch::Tensor& residual, const torch::Tensor& log_scale,
                                    const torch::Tensor& x) const = 0;
  // A sample with location 0 and scale 1, float32.
  virtual torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const = 0;

  class Scale;
  std::shared_ptr<Scale> scale_;
};

}  // namespace elbo
