// Tables whose columns are of several kinds (Nazabal, Olmos, Ghahramani & Valera 2020, section 2.1; TVAE of
// Xu et al. 2019, section 4.4). The decoder predicts one number for each column:
//
//   gaussian      the mean of a standardised column, whose standard deviation is learned
//   bernoulli     the logit
//   count         the log mean μ of a negative binomial, whose dispersion r is learned: the variance is μ +
//   μ²/r categorical   the logits of a softmax over the columns of the variable. Its log p is that of the
//   column
//                 with the 1, and 0 for the others.
#include <torch/types.h>

#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/nn/columns.h"
#include "elbo/nn/distributions.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

// All values broadcast. In float64, as log Γ of a large count loses the digits of the differences.
torch::Tensor count_log_prob(const torch::Tensor& x, const torch::Tensor& log_mean,
                             const torch::Tensor& log_dispersion) {
  const torch::Tensor n = x.to(torch::kFloat64), log_r = log_dispersion.to(torch::kFloat64),
                      log_m = log_mean.to(torch::kFloat64), r = log_r.exp(),
                      log_sum = torch::logaddexp(log_r, log_m);  // log(r + μ)
  return (torch::lgamma(n + r) - torch::lgamma(r) - torch::lgamma(n + 1) + r * (log_r - log_sum) +
          n * (log_m - log_sum))
      .to(log_mean.scalar_type());
}

// The smallest n whose cumulative probability is above u, for each element of float64 tensors on the CPU.
torch::Tensor count_quantile(const torch::Tensor& u, const torch::Tensor& log_mean,
                             const torch::Tensor& log_dispersion) {
  constexpr int64_t most = 1 << 22;
  torch::Tensor found = torch::empty_like(u);
  for (int64_t i = 0; i < u.numel(); ++i) {
    const double log_r = log_dispersion.const_data_ptr<double>()[i], r = std::exp(log_r),
                 mean = std::exp(log_mean.const_data_ptr<double>()[i]);
    double log_p = -r * std::log1p(mean / r);  // of n = 0
    double cumulative = std::exp(log_p);
    int64_t n = 0;
    while (cumulative <= u.const_data_ptr<double>()[i] && n < most) {
      log_p +=
          std::log((static_cast<double>(n) + r) / static_cast<double>(n + 1)) + std::log(mean / (r + mean));
      cumulative += std::exp(log_p);
      ++n;
    }
    found.mutable_data_ptr<double>()[i] = static_cast<double>(n);
  }
  return found;
}

class Mixed : public Likelihood {
 public:
  explicit Mixed(std::vector<ColumnBlock> blocks) : blocks_(std::move(blocks)) {
    std::array<int64_t, 4> columns{};
    for (const ColumnBlock& block : blocks_) columns.at(static_cast<size_t>(block.kind)) += block.columns;
    if (const int64_t n = columns[0]; n > 0) scale_ = register_parameter("log_scale", torch::zeros({n}));
    if (const int64_t n = columns[2]; n > 0)
      dispersion_ = register_parameter("log_dispersion", torch::zeros({n}));
  }
  int64_t param_channels() const override { return 1; }
  torch::Tensor mean(const torch::Tensor& decoded) const override {
    return by_block(decoded, [](const ColumnBlock& block, const torch::Tensor& params, const Place&) {
      if (block.kind == ColumnKind::bernoulli) return params.sigmoid();
      if (block.kind == ColumnKind::count) return log_mean(params).exp();
      return block.kind == ColumnKind::categorical ? params.softmax(-1) : params;
    });
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise) const override {
    return by_block(decoded, [&](const ColumnBlock& block, const torch::Tensor& params, const Place& place) {
      if (block.kind == ColumnKind::bernoulli) return noise.bernoulli(params.sigmoid());
      if (block.kind == ColumnKind::count) return sample_counts(params, place, noise);
      if (block.kind == ColumnKind::gaussian)
        return params + log_scale(place).exp() * noise.normal(params.sizes());
      return torch::one_hot(sample_categorical(params, -1, noise), block.columns).to(params.scalar_type());
    });
  }
  torch::Tensor encoder_input(const torch::Tensor& x) const override {
    if (!dispersion_.defined()) return x;
    return by_block(x.unsqueeze(param_dim),
                    [](const ColumnBlock& block, const torch::Tensor& part, const Place&) {
                      return block.kind == ColumnKind::count ? part.log1p() : part;
                    });
  }
  bool discrete() const override { return false; }
  int64_t levels() const override { return 0; }

 private:
  // Of a block: its columns in the row, and among those of its kind.
  struct Place {
    int64_t column = 0, of_kind = 0, columns = 0;
  };

  // (…, 1, columns) → (…, columns): function(block, its part of the parameters, place) for all blocks.
  template <typename Function>
  torch::Tensor by_block(const torch::Tensor& decoded, const Function& function) const {
    const torch::Tensor params = decoded.squeeze(-2);
    std::vector<torch::Tensor> parts;
    parts.reserve(blocks_.size());
    std::array<int64_t, 4> before{};
    int64_t column = 0;
    for (const ColumnBlock& block : blocks_) {
      int64_t& of_kind = before.at(static_cast<size_t>(block.kind));
      parts.push_back(function(block, params.narrow(-1, column, block.columns),
                               Place{.column = column, .of_kind = of_kind, .columns = block.columns}));
      column += block.columns;
      of_kind += block.columns;
    }
    return torch::cat(parts, -1);
  }

  torch::Tensor log_prob_of_elements(const torch::Tensor& decoded, const torch::Tensor& x) const override {
    return by_block(decoded, [&](const ColumnBlock& block, const torch::Tensor& params, const Place& place) {
      const torch::Tensor values = x.narrow(-1, place.column, place.columns);
      if (block.kind == ColumnKind::bernoulli) return values * params - torch::softplus(params);
      if (block.kind == ColumnKind::categorical) return values * params.log_softmax(-1);
      if (block.kind == ColumnKind::count)
        return count_log_prob(values, log_mean(params), log_dispersion(place));
      const double half_log_two_pi = 0.5 * std::log(2.0 * std::numbers::pi);
      const torch::Tensor log_sigma = log_scale(place);
      return -0.5 * ((values - params) * (-log_sigma).exp()).square() - log_sigma - half_log_two_pi;
    });
  }

  // A column of few values would be explained by an ever smaller deviation: a smooth floor of e⁻⁶ (Rybkin,
  // Daniilidis & Levine 2021, section 4).
  torch::Tensor log_scale(const Place& place) const {
    constexpr double floor = -6;
    return torch::softplus(scale_.narrow(0, place.of_kind, place.columns) - floor) + floor;
  }
  // The variance is then between μ (1 + μ e⁻¹⁰), almost that of a Poisson distribution, and μ (1 + μ e¹⁰).
  torch::Tensor log_dispersion(const Place& place) const {
    return bounded(dispersion_.narrow(0, place.of_kind, place.columns), -10, 10);
  }
  static torch::Tensor log_mean(const torch::Tensor& params) { return bounded(params, -20, 20); }

  torch::Tensor sample_counts(const torch::Tensor& params, const Place& place, RandomGenerator& noise) const {
    const auto plain = [](const torch::Tensor& value) {
      return value.to(torch::kFloat64).cpu().contiguous();
    };
    return count_quantile(plain(noise.uniform(params.sizes())), plain(log_mean(params)),
                          plain(log_dispersion(place).expand_as(params)))
        .to(params.options());
  }

  std::vector<ColumnBlock> blocks_;
  torch::Tensor scale_, dispersion_;  // (columns of the kind), undefined where there are none
};

}  // namespace

std::shared_ptr<Likelihood> mixed_likelihood(const LikelihoodOptions& options, const LikelihoodRows&) {
  if (options.columns == "auto")
    usage_error(
        "model.likelihood=mixed: needs the kinds of the columns; train on rows of a table, or set "
        "model.likelihood_columns");
  return std::make_shared<Mixed>(parse_columns(options.columns));
}

}  // namespace elbo
