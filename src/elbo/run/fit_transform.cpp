#include "elbo/run/fit_transform.h"

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/nn/recurrent.h"
#include "elbo/parallel/sum_over_ranks.h"
#include "elbo/parallel/tree_sum.h"
#include "elbo/run/row_pass.h"

namespace elbo {
namespace {

class Fit {
 public:
  Fit(Communicator& world, const RowSource& rows, const DataShape& shape, std::vector<int64_t> fitted)
      : world_(world), pass_(world, rows, shape.features()), fitted_(std::move(fitted)) {}

  Transform unit() const {
    double lowest = std::numeric_limits<double>::infinity(), highest = -lowest;
    for (int64_t part = pass_.own().first; part < pass_.own().end; ++part) {
      const torch::Tensor x = observed_values(pass_.read(part));
      if (x.numel() == 0) continue;
      lowest = std::min(lowest, x.min().item<double>());
      highest = std::max(highest, x.max().item<double>());
    }
    torch::Tensor limits = torch::tensor({-lowest, highest}, torch::kFloat64);
    world_.all_reduce(limits, ReduceOp::max);
    lowest = -limits[0].item<double>();
    return of("unit", torch::full({1}, lowest), torch::full({1}, limits[1].item<double>() - lowest));
  }

  Transform standardize() const {
    const auto [mean, deviation] = moments();
    return of("standardize", mean, deviation);
  }

  // The median, and the distance of the quartiles in units of that of a normal distribution; where half of
  // the values are equal, the standard deviation.
  Transform robust() const {
    const torch::Tensor quartiles = values_at({0.25, 0.5, 0.75});
    constexpr double of_a_normal_distribution = 1.3489795;
    const torch::Tensor spread = (quartiles[2] - quartiles[0]) / of_a_normal_distribution;
    return of("robust", quartiles[1], torch::where(spread.gt(0), spread, moments().second));
  }

 private:
  // A constant column is only shifted.
  Transform of(const std::string& kind, const torch::Tensor& shift, const torch::Tensor& scale) const {
    return {.kind = kind,
            .shift = shift.to(torch::kFloat32).view(fitted_).contiguous(),
            .scale = torch::where(scale.gt(0), scale, torch::ones_like(scale))
                         .to(torch::kFloat32)
                         .view(fitted_)
                         .contiguous()};
  }

  // The values of a part by column, and a mask of those that are neither padding nor missing, both (n,
  // columns, inner), float64.
  std::pair<torch::Tensor, torch::Tensor> columns_of(int64_t part) const {
    const Batch batch = pass_.read(part);
    torch::Tensor mask = torch::ones_like(batch.x);
    if (batch.length.defined()) {
      std::vector<int64_t> sizes(static_cast<size_t>(batch.x.dim()), 1);
      sizes[0] = batch.size();
      sizes[1] = batch.x.size(1);
      mask = step_mask(batch.length, sizes[0], sizes[1], torch::kCPU).view(sizes).expand_as(batch.x);
    }
    if (batch.observed.defined()) mask = mask * batch.observed;
    return {by_column(batch.x, fitted_).to(torch::kFloat64), by_column(mask, fitted_).to(torch::kFloat64)};
  }

  // The sum over all parts of function(values, mask), (k·columns) float64, in the order of one tree.
  template <typename Function>
  torch::Tensor sum(int64_t k, const Function& function) const {
    const int64_t numbers = k * fitted_.front();
    TreeAccumulator accumulator(pass_.parts(), numbers, torch::kFloat64);
    for (int64_t part = pass_.own().first; part < pass_.own().end; ++part) {
      const auto [values, mask] = columns_of(part);
      accumulator.add(part, function(values, mask));
    }
    return sum_over_ranks(world_, accumulator.parts(), pass_.parts(), {numbers}, torch::kFloat64)
        .view({k, fitted_.front()});
  }

  // Mean and standard deviation of each column.
  std::pair<torch::Tensor, torch::Tensor> moments() const {
    const std::array<int64_t, 2> all{0, 2};
    const torch::Tensor first = sum(2, [&](const torch::Tensor& values, const torch::Tensor& mask) {
      return torch::cat({mask.sum(all), (values * mask).sum(all)});
    });
    const torch::Tensor count = first[0].clamp_min(1), mean = first[1] / count;
    const torch::Tensor squares = sum(1, [&](const torch::Tensor& values, const torch::Tensor& mask) {
      return ((values - mean.unsqueeze(1)).square() * mask).sum(all);
    });
    return {mean, (squares[0] / count).sqrt()};
  }

  // (quantiles, columns): the value at position ⌊q (n - 1)⌋ of each sorted column. A radix search: in each of
  // four passes all values are counted by the next byte of their order-preserving bit pattern.
  torch::Tensor values_at(const std::vector<double>& quantiles) const;

  Communicator& world_;
  RowPass pass_;
  std::vector<int64_t> fitted_;
};

// Ascending with the value: negative numbers have their bits inverted, others their sign.
uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  constexpr uint32_t sign = 0x80000000U;
  return (bits & sign) != 0 ? ~bits : bits | sign;
}
float from_ordered_bits(uint32_t bits) {
  constexpr uint32_t sign = 0x80000000U;
  return std::bit_cast<float>((bits & sign) != 0 ? bits & ~sign : ~bits);
}

torch::Tensor Fit::values_at(const std::vector<double>& quantiles) const {
  const auto wanted = static_cast<int64_t>(quantiles.size());
  const int64_t columns = fitted_.front();
  constexpr int64_t bins = 256, most_columns = 1 << 16;
  if (columns > most_columns)
    usage_error("data.normalize=robust: rows have {} columns; expected at most {}; use standardize", columns,
                most_columns);
  std::vector<uint32_t> prefix(static_cast<size_t>(wanted * columns), 0);
  std::vector<int64_t> position;
  position.reserve(static_cast<size_t>(wanted * columns));
  for (const uint32_t shift : {24U, 16U, 8U, 0U}) {
    torch::Tensor counts = torch::zeros({wanted, columns, bins}, torch::kInt64);
    auto* count = counts.mutable_data_ptr<int64_t>();
    for (int64_t part = pass_.own().first; part < pass_.own().end; ++part) {
      const auto [values, mask] = columns_of(part);
      const torch::Tensor x = values.to(torch::kFloat32).transpose(0, 1).flatten(1).contiguous();
      const torch::Tensor counted = mask.transpose(0, 1).flatten(1).contiguous();
      for (int64_t column = 0; column < columns; ++column)
        for (int64_t i = 0; i < x.size(1); ++i) {
          if (counted.const_data_ptr<double>()[column * x.size(1) + i] == 0) continue;
          const uint32_t bits = ordered_bits(x.const_data_ptr<float>()[column * x.size(1) + i]);
          for (int64_t q = 0; q < wanted; ++q)
            if (shift == 24U || bits >> (shift + 8U) == prefix[static_cast<size_t>(q * columns + column)])
              ++count[(q * columns + column) * bins + ((bits >> shift) & 0xffU)];
        }
    }
    world_.all_reduce(counts, ReduceOp::sum);
    for (int64_t i = 0; i < wanted * columns; ++i) {
      if (shift == 24U) {
        const int64_t n = std::accumulate(count + i * bins, count + (i + 1) * bins, int64_t{0});
        position.push_back(static_cast<int64_t>(quantiles[static_cast<size_t>(i / columns)] *
                                                static_cast<double>(std::max<int64_t>(n - 1, 0))));
      }
      int64_t bin = 0;
      int64_t& left = position[static_cast<size_t>(i)];
      while (bin < bins - 1 && left >= count[i * bins + bin]) left -= count[i * bins + bin++];
      prefix[static_cast<size_t>(i)] = (prefix[static_cast<size_t>(i)] << 8U) | static_cast<uint32_t>(bin);
    }
  }
  torch::Tensor found = torch::empty({wanted, columns}, torch::kFloat64);
  for (int64_t i = 0; i < wanted * columns; ++i)
    found.mutable_data_ptr<double>()[i] = from_ordered_bits(prefix[static_cast<size_t>(i)]);
  return found;
}

}  // namespace

torch::Tensor by_column(const torch::Tensor& x, const std::vector<int64_t>& fitted) {
  const int64_t columns = fitted.front();
  int64_t inner = 1;  // pixels of a channel; all values where they share one
  for (int64_t dimension = 1; dimension < std::ssize(fitted); ++dimension) inner *= x.size(-dimension);
  if (fitted.size() == 1 && columns == 1) inner = x.numel() / x.size(0);
  return x.reshape({-1, columns, inner});
}

Transform fit_transform(Communicator& world, const RowSource& rows, const DataShape& shape,
                        const std::string& kind) {
  const std::vector<int64_t> fitted = fitted_shape(kind, shape.x, shape.spatial());
  if (fitted.empty()) return {.kind = kind};
  const Fit fit(world, rows, shape, fitted);
  if (kind == "unit") return fit.unit();
  if (kind == "standardize") return fit.standardize();
  return fit.robust();
}

}  // namespace elbo
