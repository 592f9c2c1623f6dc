#include <torch/types.h>

#include "elbo/base/error.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_counts.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// Where the inverse dispersion is: one number for each element of a row, for each class of the label and
// element, or a channel of the decoder.
enum class Dispersion { element, element_and_class, predicted };

Dispersion find_dispersion(const LikelihoodOptions& options, const LikelihoodRows& rows) {
  if (options.dispersion == "gene") return Dispersion::element;
  if (options.dispersion == "gene-cell") return Dispersion::predicted;
  if (rows.classes == 0)
    usage_error(
        "model.dispersion=gene-batch: needs a model that is conditioned on classes, such as cvae with the "
        "batch as data.label; use gene, or model.name=cvae");
  return Dispersion::element_and_class;
}

// Mean μ and inverse dispersion θ, which the likelihood learns or the decoder predicts.
class NegativeBinomial : public Counts {
 public:
  NegativeBinomial(const LikelihoodOptions& options, const LikelihoodRows& rows, bool zero_inflated)
      : Counts(options, zero_inflated), dispersion_(find_dispersion(options, rows)), classes_(rows.classes) {
    std::vector<int64_t> sizes = rows.shape;
    if (dispersion_ == Dispersion::element_and_class) sizes.insert(sizes.begin(), classes_);
    if (dispersion_ != Dispersion::predicted)
      log_theta_ = register_parameter("log_inverse_dispersion", torch::zeros(sizes));
  }

  int64_t param_channels() const override {
    return Counts::param_channels() + (dispersion_ == Dispersion::predicted ? 1 : 0);
  }

  // As the last channel. A product with one-hot rows, because the gradient of a gather has no fixed order of
  // addition on a GPU.
  torch::Tensor with_label(const torch::Tensor& decoded, const torch::Tensor& label) const override {
    if (dispersion_ != Dispersion::element_and_class) return decoded;
    const torch::Tensor one_hot = torch::one_hot(label, classes_).to(log_theta_.scalar_type());
    const torch::Tensor of_rows = one_hot.matmul(log_theta_.flatten(1));
    const torch::Tensor channel = of_rows.repeat({decoded.size(0) / label.size(0), 1});
    return torch::cat({decoded, channel.view_as(decoded.narrow(param_dim, 0, 1))}, param_dim);
  }

 private:
  // log θ, float64, broadcastable to a row. θ from 2e-9 to 5e8, where the distribution is that of Poisson.
  torch::Tensor log_inverse_dispersion(const torch::Tensor& decoded, int64_t dim) const {
    constexpr double lowest = -20, highest = 20;
    const torch::Tensor raw = dispersion_ == Dispersion::element ? log_theta_ : decoded.select(dim, -1);
    return bounded(raw.to(torch::kFloat64), lowest, highest);
  }

  torch::Tensor log_prob_of_counts(const torch::Tensor& x, const torch::Tensor& log_mean,
                                   const torch::Tensor& decoded) const override {
    return negative_binomial_log_prob(x, log_mean, log_inverse_dispersion(decoded, batched_param_dim));
  }

  torch::Tensor mode_of_counts(const torch::Tensor& mean, const torch::Tensor& decoded) const override {
    return mode_of_negative_binomial(mean, inverse_dispersion(mean, decoded));
  }
  torch::Tensor sample_counts(const torch::Tensor& mean, const torch::Tensor& decoded,
                              RandomGenerator& noise) const override {
    return sample_negative_binomial(mean, inverse_dispersion(mean, decoded), noise);
  }
  torch::Tensor inverse_dispersion(const torch::Tensor& mean, const torch::Tensor& decoded) const {
    return log_inverse_dispersion(decoded, param_dim).exp().expand_as(mean);
  }

  Dispersion dispersion_;
  int64_t classes_;
  torch::Tensor log_theta_;  // (…row), (classes, …row), or undefined
};

}  // namespace

// log p = log Γ(x+θ) - log Γ(θ) - log x! + θ log(θ/(θ+μ)) + x log(μ/(θ+μ)), with the last two logarithms from
// log μ - log θ, which keeps their digits for every ratio.
torch::Tensor negative_binomial_log_prob(const torch::Tensor& x, const torch::Tensor& log_mean,
                                         const torch::Tensor& log_theta) {
  const torch::Tensor theta = log_theta.exp(), log_ratio = log_mean - log_theta;
  return (x + theta).lgamma() - theta.lgamma() - (x + 1).lgamma() + theta * torch::log_sigmoid(-log_ratio) +
         x * torch::log_sigmoid(log_ratio);
}

torch::Tensor mode_of_negative_binomial(const torch::Tensor& mean, const torch::Tensor& theta) {
  return (mean * (1 - 1 / theta)).clamp_min(0).floor();
}

// A Poisson distribution whose mean has a Gamma distribution.
torch::Tensor sample_negative_binomial(const torch::Tensor& mean, const torch::Tensor& theta,
                                       RandomGenerator& noise) {
  return sample_poisson(sample_gamma(theta, noise) * mean / theta, noise);
}

std::shared_ptr<Likelihood> negative_binomial_likelihood(const LikelihoodOptions& options,
                                                         const LikelihoodRows& rows) {
  return std::make_shared<NegativeBinomial>(options, rows, /*zero_inflated=*/false);
}

std::shared_ptr<Likelihood> zero_inflated_negative_binomial_likelihood(const LikelihoodOptions& options,
                                                                       const LikelihoodRows& rows) {
  return std::make_shared<NegativeBinomial>(options, rows, /*zero_inflated=*/true);
}

}  // namespace elbo
