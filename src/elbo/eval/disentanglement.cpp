#include "elbo/eval/disentanglement.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace elbo {
namespace {

// The values of a factor as numbers 0 … values-1 (n), and how many there are.
struct Levels {
  torch::Tensor of_row;
  int64_t count = 0;
};

Levels levels_of(const torch::Tensor& factor) {
  const auto [values, of_row] = at::_unique(factor.contiguous(), /*sorted=*/true, /*return_inverse=*/true);
  return {of_row, values.size(0)};
}

// The columns of factors that have two or more values.
std::vector<torch::Tensor> varying(const torch::Tensor& factors) {
  std::vector<torch::Tensor> columns;
  columns.reserve(static_cast<size_t>(factors.size(1)));
  for (int64_t i = 0; i < factors.size(1); ++i)
    if (const torch::Tensor column = factors.select(1, i).to(torch::kFloat64).contiguous();
        column.min().item<double>() < column.max().item<double>())
      columns.push_back(column);
  return columns;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// Of counts, in nats.
double entropy(const torch::Tensor& counts) {
  const torch::Tensor p = counts.to(torch::kFloat64) / counts.sum().item<double>();
  return torch::special_entr(p).sum().item<double>();
}

// The numbers of the bins of a dimension (n), equally wide between its lowest and its highest value.
torch::Tensor binned(const torch::Tensor& z, int64_t bins) {
  const auto low = z.min().item<double>(), high = z.max().item<double>();
  if (low == high) return torch::zeros({z.size(0)}, torch::kInt64);
  const torch::Tensor edges = torch::linspace(low, high, bins + 1, torch::kFloat64).slice(0, 1, bins);
  return torch::bucketize(z.contiguous(), edges, /*out_int32=*/false, /*right=*/true);
}

// The difference of the two highest values; with a single one, that value.
double gap(std::vector<double> values) {
  std::ranges::sort(values, std::greater<>());
  return values[0] - (values.size() > 1 ? values[1] : 0);
}

// 1 - the entropy of a column's shares in units of that of equal shares, for each column (rows, columns) →
// (columns); 1 with a single row.
torch::Tensor concentration(const torch::Tensor& importance) {
  const torch::Tensor total = importance.sum(0);
  const torch::Tensor shares = importance / total.clamp_min(1e-12);
  const double equal = std::log(static_cast<double>(importance.size(0)));
  if (equal == 0) return torch::ones_like(total);
  return torch::where(total > 0, 1 - torch::special_entr(shares).sum(0) / equal, torch::zeros_like(total));
}

// The weights of the lasso (latent), by coordinate descent on the covariances of standardised values
// (Friedman, Hastie & Tibshirani 2010, eq. 5). gram (latent, latent), target (latent).
std::vector<double> lasso(const torch::Tensor& gram, const torch::Tensor& target, double penalty) {
  constexpr int most_rounds = 1000;
  constexpr double converged = 1e-10;
  const auto size = static_cast<size_t>(target.size(0));
  const auto* covariance = gram.const_data_ptr<double>();
  const auto* with_target = target.const_data_ptr<double>();
  std::vector<double> weights(size, 0.0);
  for (int round = 0; round < most_rounds; ++round) {
    double largest_change = 0;
    for (size_t i = 0; i < size; ++i) {
      const double own = covariance[i * size + i];
      if (own == 0) continue;
      double residual = with_target[i] + own * weights[i];
      for (size_t j = 0; j < size; ++j) residual -= covariance[i * size + j] * weights[j];
      const double next = std::copysign(std::max(0.0, std::fabs(residual) - penalty), residual) / own;
      largest_change = std::max(largest_change, std::fabs(next - weights[i]));
      weights[i] = next;
    }
    if (largest_change < converged) break;
  }
  return weights;
}

// With the mean and the deviation of `like`; 0 where all values are equal.
torch::Tensor standardized(const torch::Tensor& x, const torch::Tensor& like) {
  const torch::Tensor deviation = like.std(0, /*unbiased=*/false);
  return torch::where(deviation > 0, (x - like.mean(0)) / deviation.clamp_min(1e-12), torch::zeros_like(x));
}

// A random number from 0 to count-1 for each of `draws` uniform numbers.
int64_t below(double uniform, int64_t count) {
  return std::min(static_cast<int64_t>(uniform * static_cast<double>(count)), count - 1);
}

// The votes of Kim & Mnih: which dimension varies least among rows that share a factor.
class Votes {
 public:
  // codes: in units of their deviation.
  Votes(const torch::Tensor& codes, const std::vector<torch::Tensor>& factors, Key key)
      : codes_(codes), random_(key) {
    for (const torch::Tensor& factor : factors) {
      const Levels levels = levels_of(factor);
      std::vector<torch::Tensor>& rows = rows_.emplace_back();
      for (int64_t value = 0; value < levels.count; ++value)
        rows.push_back(levels.of_row.eq(value).nonzero().squeeze(1));
    }
  }

  int64_t least_varying(size_t factor) {
    constexpr int64_t rows_of_vote = 100;
    const torch::Tensor numbers = random_.uniform({rows_of_vote + 1}).to(torch::kFloat64);
    const auto* uniform = numbers.const_data_ptr<double>();
    const std::vector<torch::Tensor>& of_factor = rows_[factor];
    const torch::Tensor& same = of_factor[static_cast<size_t>(below(uniform[0], std::ssize(of_factor)))];
    std::vector<int64_t> chosen(rows_of_vote);
    for (size_t i = 0; i < chosen.size(); ++i)
      chosen[i] = same[below(uniform[i + 1], same.size(0))].item<int64_t>();
    return codes_.index_select(0, torch::tensor(chosen)).var(0).argmin().item<int64_t>();
  }

 private:
  torch::Tensor codes_;
  RandomGenerator random_;
  std::vector<std::vector<torch::Tensor>> rows_;  // of each factor and value
};

}  // namespace

double mutual_information_gap(const torch::Tensor& codes, const torch::Tensor& factors) {
  constexpr int64_t bins = 20;
  std::vector<torch::Tensor> dimensions;
  dimensions.reserve(static_cast<size_t>(codes.size(1)));
  for (int64_t i = 0; i < codes.size(1); ++i)
    dimensions.push_back(binned(codes.select(1, i).to(torch::kFloat64), bins));
  std::vector<double> gaps;
  for (const torch::Tensor& factor : varying(factors)) {
    const Levels levels = levels_of(factor);
    const double of_factor = entropy(levels.of_row.bincount());
    std::vector<double> information;
    information.reserve(dimensions.size());
    for (const torch::Tensor& bin : dimensions)
      information.push_back(entropy(bin.bincount()) + of_factor -
                            entropy((bin * levels.count + levels.of_row).bincount()));
    gaps.push_back(gap(information) / of_factor);
  }
  return mean_of(gaps);
}

double attribute_predictability(const torch::Tensor& codes, const torch::Tensor& factors) {
  const torch::Tensor z = codes.to(torch::kFloat64);
  const torch::Tensor of_codes = standardized(z, z);
  std::vector<double> gaps;
  for (const torch::Tensor& factor : varying(factors)) {
    const torch::Tensor correlation = standardized(factor, factor).unsqueeze(0).mm(of_codes) / z.size(0);
    const torch::Tensor r2 = correlation.square().squeeze(0).contiguous();
    gaps.push_back(gap({r2.const_data_ptr<double>(), r2.const_data_ptr<double>() + r2.size(0)}));
  }
  return mean_of(gaps);
}

Dci dci(const CodesAndFactors& fitted, const CodesAndFactors& test) {
  constexpr double penalty = 0.01;
  const torch::Tensor z = fitted.codes.to(torch::kFloat64),
                      rows = torch::full({}, z.size(0), torch::kFloat64);
  const torch::Tensor input = standardized(z, z),
                      test_input = standardized(test.codes.to(torch::kFloat64), z);
  const torch::Tensor gram = (input.t().mm(input) / rows).contiguous();

  std::vector<torch::Tensor> importance;
  std::vector<double> informativeness;
  for (int64_t i = 0; i < fitted.factors.size(1); ++i) {
    const torch::Tensor factor = fitted.factors.select(1, i).to(torch::kFloat64);
    if (factor.min().item<double>() == factor.max().item<double>()) continue;
    const torch::Tensor covariance = (input.t().mv(standardized(factor, factor)) / rows).contiguous();
    const torch::Tensor weights = torch::tensor(lasso(gram, covariance, penalty), torch::kFloat64);
    importance.push_back(weights.abs());
    const torch::Tensor truth = standardized(test.factors.select(1, i).to(torch::kFloat64), factor);
    const double error = (truth - test_input.mv(weights)).square().sum().item<double>();
    const double spread = (truth - truth.mean()).square().sum().item<double>();
    informativeness.push_back(spread > 0 ? std::max(0.0, 1 - error / spread) : 0);
  }
  if (importance.empty()) return {std::nan(""), std::nan(""), std::nan("")};
  const torch::Tensor of_factors = torch::stack(importance);  // (factors, latent)
  const torch::Tensor share_of_dimension = of_factors.sum(0) / of_factors.sum().clamp_min(1e-12);
  return {.disentanglement = (concentration(of_factors) * share_of_dimension).sum().item<double>(),
          .completeness = concentration(of_factors.t()).mean().item<double>(),
          .informativeness = mean_of(informativeness)};
}

double factor_vae_score(const torch::Tensor& codes, const torch::Tensor& factors, Key key) {
  constexpr double smallest_variance = 0.05;
  constexpr size_t votes = 800;
  const std::vector<torch::Tensor> columns = varying(factors);
  if (columns.empty()) return std::nan("");
  const torch::Tensor z = codes.to(torch::kFloat64), variance = z.var(0, /*unbiased=*/false);
  const torch::Tensor used = variance.gt(smallest_variance).nonzero().squeeze(1);
  if (used.size(0) == 0) return 0;
  Votes drawn((z / variance.clamp_min(smallest_variance).sqrt()).index_select(1, used), columns, key);
  torch::Tensor counts = torch::zeros({used.size(0), std::ssize(columns)}, torch::kInt64);
  for (size_t vote = 0; vote < votes; ++vote) {
    const size_t factor = vote % columns.size();
    counts[drawn.least_varying(factor)][static_cast<int64_t>(factor)] += 1;
  }
  const torch::Tensor named = counts.argmax(1);
  int64_t right = 0;
  for (size_t vote = 0; vote < votes; ++vote) {
    const size_t factor = vote % columns.size();
    if (named[drawn.least_varying(factor)].item<int64_t>() == static_cast<int64_t>(factor)) ++right;
  }
  return static_cast<double>(right) / static_cast<double>(votes);
}

}  // namespace elbo
