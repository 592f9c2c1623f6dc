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
#include "elbo/nn/likelihood_counts.h"
#include "elbo/nn/likelihood_parts.h"

namespace elbo {
namespace {

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
      if (block.kind == ColumnKind::count) return log_mean(params).exp().to(params.scalar_type());
      return block.kind == ColumnKind::categorical ? params.softmax(-1) : params;
    });
  }
  torch::Tensor mode(const torch::Tensor& decoded) const override {
    return by_block(decoded, [&](const ColumnBlock& block, const torch::Tensor& params, const Place& place) {
      if (block.kind == ColumnKind::bernoulli) return params.gt(0).to(params.scalar_type());
      if (block.kind == ColumnKind::count)
        return mode_of_negative_binomial(log_mean(params).exp(), log_dispersion(place).exp())
            .to(params.scalar_type());
      return block.kind == ColumnKind::gaussian ? params : one_hot(params.argmax(-1), params);
    });
  }
  torch::Tensor sample(const torch::Tensor& decoded, RandomGenerator& noise,
                       double temperature) const override {
    return by_block(decoded, [&](const ColumnBlock& block, const torch::Tensor& params, const Place& place) {
      if (block.kind == ColumnKind::bernoulli) return noise.bernoulli((params / temperature).sigmoid());
      if (block.kind == ColumnKind::count) return sample_counts(params, place, noise, temperature);
      if (block.kind == ColumnKind::gaussian)
        return params + temperature * log_scale(place).exp() * noise.normal(params.sizes());
      return one_hot(sample_categorical(params / temperature, -1, noise), params);
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
        return negative_binomial_log_prob(values.to(torch::kFloat64), log_mean(params), log_dispersion(place))
            .to(params.scalar_type());
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
    return bounded(dispersion_.narrow(0, place.of_kind, place.columns), -10, 10).to(torch::kFloat64);
  }
  static torch::Tensor log_mean(const torch::Tensor& params) {  // float64
    return bounded(params, -20, 20).to(torch::kFloat64);
  }

  // category (…), of the block with these parameters (…, columns).
  static torch::Tensor one_hot(const torch::Tensor& category, const torch::Tensor& params) {
    return torch::one_hot(category, params.size(-1)).to(params.scalar_type());
  }
  torch::Tensor sample_counts(const torch::Tensor& params, const Place& place, RandomGenerator& noise,
                              double temperature) const {
    const torch::Tensor mean = log_mean(params).exp();
    const torch::Tensor draw =
        sample_negative_binomial(mean, log_dispersion(place).exp().expand_as(mean), noise);
    return counts_at_temperature(draw, mean, temperature).to(params.scalar_type());
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
