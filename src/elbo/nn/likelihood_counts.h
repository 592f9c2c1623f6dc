// Distributions of counts with a mean for each element (Lopez, Regier, Cole, Jordan & Yosef 2018): what they
// share.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/nn/likelihood.h"

namespace elbo {

// The decoder's first channel gives the mean μ of each element. With an observed library, μ = fraction of the
// row (softmax) times the sum of the row; without, μ = exp of the channel. Zero-inflated: with the
// probability π, whose logit is the second channel, an element is 0 whatever μ.
//
// Computed in float64: the terms of log p are up to 1e7 for counts of 1e6, and cancel.
class Counts : public Likelihood {
 public:
  Counts(const LikelihoodOptions& options, bool zero_inflated)
      : observed_library_(options.library == "observed"),
        library_size_(options.library_size),
        zero_inflated_(zero_inflated) {}

  int64_t param_channels() const override { return zero_inflated_ ? 2 : 1; }
  torch::Tensor mean(const torch::Tensor& decoded) const override;
  torch::Tensor mode(const torch::Tensor& decoded) const override;
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override;
  torch::Tensor choose(const torch::Tensor& decoded, const ElementChoice& choice) const override;
  bool discrete() const override { return true; }
  int64_t levels() const override { return 0; }

 private:
  torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const override;

  // Of counts before zero inflation, all float64: x (b, …row), log μ (k, b, …row), decoded (k, b, channels,
  // …row) → (k, b, …row), nats.
  virtual torch::Tensor log_prob_of_counts(const torch::Tensor& x, const torch::Tensor& log_mean,
                                           const torch::Tensor& decoded) const = 0;
  // mean (n, …row) float64, decoded (n, channels, …row) → (n, …row).
  virtual torch::Tensor mode_of_counts(const torch::Tensor& mean, const torch::Tensor& decoded) const = 0;
  virtual torch::Tensor sample_counts(const torch::Tensor& mean, const torch::Tensor& decoded,
                                      RandomGenerator& noise) const = 0;

  // log μ, float64; the row begins at the dimension `dim` of the result, and `decoded` has its channels
  // there. log_library: of each row, broadcastable to (…, elements of the row).
  torch::Tensor log_mean(const torch::Tensor& decoded, int64_t dim, const torch::Tensor& log_library) const;
  // log μ of the rows of `choice`, float64 (n, …row), and what is chosen given it.
  torch::Tensor log_mean_of(const torch::Tensor& decoded, const ElementChoice& choice) const;
  torch::Tensor mean_given(const torch::Tensor& log_mean, const torch::Tensor& decoded) const;
  torch::Tensor mode_given(const torch::Tensor& log_mean, const torch::Tensor& decoded) const;
  torch::Tensor sample_given(const torch::Tensor& log_mean, const torch::Tensor& decoded,
                             RandomGenerator& noise, double temperature) const;

  bool observed_library_;
  double library_size_;
  bool zero_inflated_;
};

// log p of whole numbers x, of mean μ and inverse dispersion θ: the variance is μ + μ²/θ (Lopez et al. 2018,
// supplementary note 1). All float64; they broadcast.
torch::Tensor negative_binomial_log_prob(const torch::Tensor& x, const torch::Tensor& log_mean,
                                         const torch::Tensor& log_theta);
// Both float64: mean and theta of the same shape.
torch::Tensor mode_of_negative_binomial(const torch::Tensor& mean, const torch::Tensor& theta);
torch::Tensor sample_negative_binomial(const torch::Tensor& mean, const torch::Tensor& theta,
                                       RandomGenerator& noise);

// A sample of counts whose deviation from its mean is multiplied by the temperature, as a count.
torch::Tensor counts_at_temperature(const torch::Tensor& draw, const torch::Tensor& mean, double temperature);

}  // namespace elbo
