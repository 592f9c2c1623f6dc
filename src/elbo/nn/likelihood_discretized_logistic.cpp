#include <torch/types.h>

#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// The probability of the logistic distribution in the bin around each level. The first and the last bin
// extend to infinity (Kingma et al. 2016, appendix; Salimans et al. 2017, eq. 2).
class DiscretizedLogistic : public LocationScale {
 public:
  DiscretizedLogistic(const std::string& variance, double scale, int64_t levels)
      : LocationScale(variance, scale), last_level_(static_cast<double>(levels - 1)) {}

  // The location, clamped to [0, 1]: the exact mean would take `levels` times the memory.
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    return LocationScale::mean(decoded).clamp(0.0, 1.0);
  }
  // The level at the location, or an end of the range: its level takes all that is beyond.
  torch::Tensor mode(const torch::Tensor& decoded) const override {
    torch::Tensor best = nearest_level(mean(decoded));
    torch::Tensor highest = log_prob_of_elements(decoded.unsqueeze(0), best)[0];
    for (const double end : {0.0, 1.0}) {
      const torch::Tensor other = torch::full_like(best, end);
      const torch::Tensor log_prob = log_prob_of_elements(decoded.unsqueeze(0), other)[0];
      best = torch::where(log_prob > highest, other, best);
      highest = torch::maximum(highest, log_prob);
    }
    return best;
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override {
    return nearest_level(LocationScale::sample(decoded, noise, temperature));
  }
  bool discrete() const override { return true; }
  int64_t levels() const override { return static_cast<int64_t>(last_level_) + 1; }

 private:
  torch::Tensor nearest_level(const torch::Tensor& x) const {
    return (x * last_level_).round().clamp(0.0, last_level_) / last_level_;
  }
  // With a and b the standardised upper and lower border of the bin, log(σ(a) - σ(b)) = log σ(a) + log σ(-b)
  // + log(1 - e^(b-a)). The difference itself would lose its digits in the tails, these terms do not.
  torch::Tensor log_density(const torch::Tensor& residual, const torch::Tensor& log_scale,
                            const torch::Tensor& x) const override {
    const double half_bin = 0.5 / last_level_;
    const torch::Tensor inverse_scale = (-log_scale).exp();
    const torch::Tensor is_first = x < half_bin;
    const torch::Tensor is_last = x > 1.0 - half_bin;
    const torch::Tensor below_upper = torch::log_sigmoid((residual + half_bin) * inverse_scale);
    const torch::Tensor above_lower = torch::log_sigmoid((half_bin - residual) * inverse_scale);
    const torch::Tensor inside = torch::log(-torch::expm1(-2.0 * half_bin * inverse_scale));
    return below_upper.masked_fill(is_last, 0.0) + above_lower.masked_fill(is_first, 0.0) +
           inside.expand_as(below_upper).masked_fill(is_first | is_last, 0.0);
  }
  torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const override {
    return torch::logit(open_uniform(sizes, noise)).to(torch::kFloat32);
  }

  double last_level_;
};

}  // namespace

std::shared_ptr<Likelihood> discretized_logistic_likelihood(const LikelihoodOptions& options,
                                                            const LikelihoodRows&) {
  return std::make_shared<DiscretizedLogistic>(options.variance, options.scale, options.levels);
}

}  // namespace elbo
