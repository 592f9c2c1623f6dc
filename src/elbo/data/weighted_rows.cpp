#include "elbo/data/weighted_rows.h"

#include <algorithm>
#include <cmath>

#include "elbo/base/sha256.h"

namespace elbo {

WeightedRows::WeightedRows(const std::vector<double>& weights) : ends_(weights.size()) {
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) ends_[i] = sum += weights[i];
  const auto rows = static_cast<double>(weights.size());
  for (double& end : ends_) end = end * rows / sum;
}

int64_t WeightedRows::row_of(int64_t part, Key epoch) const {
  constexpr unsigned bits = 20;  // few enough that part + offset is below rows for all numbers of rows
  const double offset =
      std::ldexp(static_cast<double>(epoch.with("weights").value() >> (64U - bits)), -int{bits});
  const auto found = std::ranges::upper_bound(ends_, static_cast<double>(part) + offset);
  // Where the last end was rounded down, the last row that has a weight.
  const auto last = std::ranges::lower_bound(ends_, ends_.back());
  return std::min(found, last) - ends_.begin();
}

std::string WeightedRows::digest() const { return sha256(ends_.data(), ends_.size() * sizeof(double)); }

}  // namespace elbo
