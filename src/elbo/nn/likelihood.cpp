#include "elbo/nn/likelihood.h"

#include <torch/types.h>

#include <cmath>
#include <numbers>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/nn/bernoulli.h"
#include "elbo/nn/distributions.h"

namespace elbo {
namespace {

// The dimension of the maps in (k, b, maps, …row) and in (n, maps, …row) is the one before the row; rows have
// any rank.
constexpr int64_t maps_of_draws = 2, maps_of_rows = 1;

torch::Tensor sum_over_row(const torch::Tensor& elements) {
  return elements.flatten(2).sum(-1);
}  // (k, b, …row) → (k, b)

class Bernoulli : public Likelihood {
 public:
  int64_t param_channels() const override { return 1; }
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    return torch::sigmoid(decoded.squeeze(maps_of_rows));
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const override {
    return noise.bernoulli(mean(decoded));
  }
  bool discrete() const override { return true; }

 private:
  torch::Tensor log_density_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    return bernoulli_log_prob(decoded.flatten(2), x.flatten(1));
  }
};

// The scale of a location-scale family: σ, b or s of the densities below.
class Scale : public torch::nn::Module {
 public:
  Scale(const std::string& variance, double initial)
      : log_initial_(std::log(initial)), predicted_(variance == "predicted") {
    if (variance == "learned") log_scale_ = register_parameter("log_scale", torch::full({1}, log_initial_));
  }
  int64_t param_channels() const { return predicted_ ? 1 : 0; }

  // Its logarithm, broadcastable to a row; `maps_dim` of `decoded` holds the location and, if predicted, the
  // scale.
  torch::Tensor log(const torch::Tensor& decoded, int64_t maps_dim) const {
    if (log_scale_.defined()) return log_scale_;
    if (!predicted_) return torch::full({1}, log_initial_, decoded.options());
    // A density over data that repeat a value grows without bound as the scale shrinks; the floor of e⁻⁶
    // times the initial scale, reached smoothly, prevents it (Rybkin, Daniilidis & Levine 2021, section 4).
    constexpr double floor = -6.0;
    return torch::softplus(decoded.select(maps_dim, 1) - floor) + (floor + log_initial_);
  }

 private:
  double log_initial_;
  bool predicted_;
  torch::Tensor log_scale_;  // (1), undefined unless learned
};

// What densities with a location and a scale share.
class LocationScale : public Likelihood {
 public:
  explicit LocationScale(const std::string& variance, double scale)
      : scale_(register_module("scale", std::make_shared<Scale>(variance, scale))) {}
  int64_t param_channels() const override { return 1 + scale_->param_channels(); }
  torch::Tensor mean(const torch::Tensor& decoded) const override { return decoded.select(maps_of_rows, 0); }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const override {
    const torch::Tensor location = decoded.select(maps_of_rows, 0);
    return location + scale_->log(decoded, maps_of_rows).exp() * standard_sample(location.sizes(), noise);
  }
  bool discrete() const override { return false; }

 private:
  torch::Tensor log_density_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    const torch::Tensor log_scale = scale_->log(decoded, maps_of_draws);
    return sum_over_row(log_density_of_elements(x - decoded.select(maps_of_draws, 0), log_scale, x));
  }
  // residual x - location (k, b, …row) → (k, b, …row)
  virtual torch::Tensor log_density_of_elements(const torch::Tensor& residual, const torch::Tensor& log_scale,
                                                const torch::Tensor& x) const = 0;
  // A draw with location 0 and scale 1.
  virtual torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const = 0;

  std::shared_ptr<Scale> scale_;
};

// U(0, 1) without its ends: the centres of the generator's cells of width 2⁻²⁴.
torch::Tensor open_uniform(torch::IntArrayRef sizes, RandomGenerator& noise) {
  return noise.uniform(sizes).to(torch::kFloat64).add_(0x1p-25);
}

class Gaussian : public LocationScale {
 public:
  using LocationScale::LocationScale;

 private:
  torch::Tensor log_density_of_elements(const torch::Tensor& residual, const torch::Tensor& log_scale,
                                        const torch::Tensor&) const override {
    const double half_log_two_pi = 0.5 * std::log(2.0 * std::numbers::pi);
    return -0.5 * (residual * (-log_scale).exp()).square() - log_scale - half_log_two_pi;
  }
  torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const override {
    return noise.normal(sizes);
  }
};

class Laplace : public LocationScale {
 public:
  using LocationScale::LocationScale;

 private:
  torch::Tensor log_density_of_elements(const torch::Tensor& residual, const torch::Tensor& log_scale,
                                        const torch::Tensor&) const override {
    return -residual.abs() * (-log_scale).exp() - log_scale - std::numbers::ln2;
  }
  torch::Tensor standard_sample(torch::IntArrayRef sizes, RandomGenerator& noise) const override {
    const torch::Tensor centred = open_uniform(sizes, noise) - 0.5;
    return (-centred.sign() * torch::log1p(-2.0 * centred.abs())).to(torch::kFloat32);
  }
};

// The logistic distribution's mass in the bin around each level; the first and the last bin reach to infinity
// (Kingma et al. 2016, appendix; Salimans et al. 2017, eq. 2).
class DiscretizedLogistic : public LocationScale {
 public:
  DiscretizedLogistic(const std::string& variance, double scale, int64_t levels)
      : LocationScale(variance, scale), last_level_(static_cast<double>(levels - 1)) {}

  // The location, held in [0, 1]: the exact mean would cost `levels` times the memory.
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    return LocationScale::mean(decoded).clamp(0.0, 1.0);
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const override {
    return (LocationScale::sample(decoded, noise) * last_level_).round().clamp(0.0, last_level_) /
           last_level_;
  }
  bool discrete() const override { return true; }

 private:
  // With a and b the standardised upper and lower border, log(σ(a) - σ(b)) = log σ(a) + log σ(-b) + log(1 -
  // e^(b-a)), of which no term loses digits in the tails, where the difference itself does.
  torch::Tensor log_density_of_elements(const torch::Tensor& residual, const torch::Tensor& log_scale,
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

// A probability for each level, without a notion of which levels are near (van den Oord et al. 2016,
// section 2.1). x is rounded to the nearest level.
class Categorical : public Likelihood {
 public:
  explicit Categorical(int64_t levels) : levels_(levels) {}
  int64_t param_channels() const override { return levels_; }
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    const torch::Tensor values = torch::linspace(0.0, 1.0, levels_, decoded.options());
    return torch::softmax(decoded, maps_of_rows).movedim(maps_of_rows, -1).matmul(values);
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const override {
    const torch::Tensor level = draw_category(decoded, maps_of_rows, noise);
    return level.to(decoded.scalar_type()) / static_cast<double>(levels_ - 1);
  }
  bool discrete() const override { return true; }

 private:
  torch::Tensor log_density_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    const torch::Tensor level = (x * static_cast<double>(levels_ - 1)).round().to(torch::kInt64);
    const torch::Tensor index = level.unsqueeze(1).expand_as(decoded.narrow(maps_of_draws, 0, 1));
    const torch::Tensor chosen = decoded.gather(maps_of_draws, index).squeeze(maps_of_draws);
    return sum_over_row(chosen - decoded.logsumexp(maps_of_draws));
  }

  int64_t levels_;
};

// Counts of a row's elements, such as the films that a user saw: each of the row's events falls on element i
// with probability softmax(decoded)_i (Liang, Krishnan, Hoffman & Jebara 2018, eq. 2). The multinomial
// coefficient, which no parameter changes, is left out, as there.
class Multinomial : public Likelihood {
 public:
  int64_t param_channels() const override { return 1; }
  // The share of events that falls on each element: how many there are is no matter of the model.
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    return decoded.flatten(1).softmax(1).view_as(decoded).squeeze(maps_of_rows);
  }
  // One event.
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const override {
    const torch::Tensor cumulative = decoded.flatten(1).softmax(1).cumsum(1);
    const torch::Tensor u = noise.uniform({cumulative.size(0), 1});
    const torch::Tensor at = cumulative.le(u).sum(1, true).clamp_max(cumulative.size(1) - 1);
    return torch::zeros_like(cumulative).scatter(1, at, 1.0).view_as(decoded).squeeze(maps_of_rows);
  }
  bool discrete() const override { return false; }

 private:
  torch::Tensor log_density_of_rows(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    return (decoded.flatten(2).log_softmax(2) * x.flatten(1)).sum(2);
  }
};

}  // namespace

void LikelihoodOptions::bind(OptionTable& table) {
  table.add_choice(
      "model.likelihood", name,
      {"auto", "bernoulli", "gaussian", "laplace", "discretized_logistic", "categorical", "multinomial"},
      "p(x|z) of each element; bernoulli: x in [0, 1]; discretized_logistic, categorical: x in [0, 1] with "
      "model.likelihood_levels values; multinomial: counts, such as interactions; auto: bernoulli for "
      "images, gaussian otherwise");
  table.add_choice(
      "model.likelihood_variance", variance, {"auto", "fixed", "learned", "predicted"},
      "scale of gaussian, laplace and discretized_logistic; learned: one number; predicted: by the decoder, "
      "for each element; auto: predicted for discretized_logistic, fixed otherwise");
  table.add("model.likelihood_scale", scale,
            "the scale of the likelihood (a standard deviation, in the unit of x), or its initial value",
            Range::above(0));
  table.add("model.likelihood_levels", levels,
            "number of values of an element, for categorical and discretized_logistic", Range::at_least(2));
}

torch::Tensor Likelihood::log_prob(const torch::Tensor& decoded, const torch::Tensor& x) const {
  return log_density_of_rows(decoded.unflatten(0, {-1, x.size(0)}), x).flatten();
}

std::shared_ptr<Likelihood> make_likelihood(const LikelihoodOptions& options, bool rows_in_unit_interval) {
  const std::string automatic = rows_in_unit_interval ? "bernoulli" : "gaussian";
  const std::string name = options.name == "auto" ? automatic : options.name;
  const std::string usual_variance = name == "discretized_logistic" ? "predicted" : "fixed";
  const std::string variance = options.variance == "auto" ? usual_variance : options.variance;
  if (name == "gaussian") return std::make_shared<Gaussian>(variance, options.scale);
  if (name == "laplace") return std::make_shared<Laplace>(variance, options.scale);
  if (name == "multinomial") return std::make_shared<Multinomial>();
  if (!rows_in_unit_interval)
    usage_error(
        "model.likelihood={}: needs data in [0, 1], which this data set is not known to be; use gaussian",
        name);
  if (name == "discretized_logistic")
    return std::make_shared<DiscretizedLogistic>(variance, options.scale, options.levels);
  if (name == "categorical") return std::make_shared<Categorical>(options.levels);
  return std::make_shared<Bernoulli>();
}

}  // namespace elbo
