#include <torch/types.h>

#include <numbers>

#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

constexpr double near_zero = 0.1;  // of a logit, where the formulas are 0/0 and series take their place

// The logit where its formulas hold, and a number that is safe for them elsewhere: torch::where() would
// spread the NaN of a gradient.
torch::Tensor safe(const torch::Tensor& logits) {
  return torch::where(logits.abs() < near_zero, torch::ones_like(logits), logits);
}

// x in [0, 1] with the density C(λ) λ^x (1-λ)^(1-x), where λ = σ(l) for the logit l that the decoder predicts
// (Loaiza-Ganem & Cunningham 2019, eq. 6 to 8): log p = x l - softplus(l) + log C, and C = l / tanh(l/2).
class ContinuousBernoulli : public Likelihood {
 public:
  int64_t param_channels() const override { return 1; }
  // 1/(1 - e^-l) - 1/l.
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    const torch::Tensor l = decoded.squeeze(param_dim), other = safe(l);
    const torch::Tensor series = 0.5 + l / 12 - l.pow(3) / 720;
    return torch::where(l.abs() < near_zero, series, -(-other).expm1().reciprocal() - other.reciprocal());
  }
  // The inverse of the distribution function, (e^(lx) - 1)/(e^l - 1), at a uniform number; with -|l|, so that
  // no power overflows.
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override {
    const torch::Tensor l = decoded.squeeze(param_dim) / temperature, u = noise.uniform(l.sizes());
    const torch::Tensor falling = -safe(l).abs(), from_end = torch::where(l > 0, 1 - u, u);
    const torch::Tensor x = (from_end * falling.expm1()).log1p() / falling;
    const torch::Tensor drawn = torch::where(l > 0, 1 - x, x);
    return torch::where(l.abs() < near_zero, u + l / 2 * u * (1 - u), drawn).clamp(0, 1);
  }
  bool discrete() const override { return false; }
  int64_t levels() const override { return 256; }

 private:
  torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    const torch::Tensor l = decoded.squeeze(batched_param_dim), other = safe(l).abs();
    const torch::Tensor square = l.square();
    const torch::Tensor series = std::numbers::ln2 + (square / 12 - square.square() / 720).log1p();
    const torch::Tensor log_c =
        torch::where(l.abs() < near_zero, series, other.log() - torch::tanh(other / 2).log());
    return x * l - torch::softplus(l) + log_c;
  }
};

}  // namespace

std::shared_ptr<Likelihood> continuous_bernoulli_likelihood(const LikelihoodOptions&, const LikelihoodRows&) {
  return std::make_shared<ContinuousBernoulli>();
}

}  // namespace elbo
