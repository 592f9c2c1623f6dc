#include "elbo/data/transformed_rows.h"

#include <torch/types.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "elbo/base/error.h"

namespace elbo {

TransformedRows::TransformedRows(std::shared_ptr<const RowSource> rows, Transform transform, ValueRule rule)
    : rows_(std::move(rows)), transform_(std::move(transform)), rule_(std::move(rule)) {}

void TransformedRows::require(const Batch& batch, const ValueRule& rule) const {
  const auto* x = batch.x.const_data_ptr<float>();
  const int64_t features = batch.x.numel() / batch.size();
  if (!rule.columns.empty()) {
    for (int64_t i = 0; i < batch.x.numel(); ++i)
      if (const Support support = rule.columns[static_cast<size_t>(i % features)];
          !are_valid(x + i, 1, support))
        reject(batch, i / features, support, x[i], rule);
    return;
  }
  if (rule.support == Support::real) return;  // finite they are
  if (are_valid(x, batch.x.numel(), rule.support)) return;
  int64_t row = 0;
  while (are_valid(x + row * features, features, rule.support)) ++row;
  const float* wrong =
      std::find_if_not(x + row * features, x + (row + 1) * features,
                       [&](const float& value) { return are_valid(&value, 1, rule.support); });
  reject(batch, row, rule.support, *wrong, rule);
}

void TransformedRows::reject(const Batch& batch, int64_t row, Support support, float value,
                             const ValueRule& rule) const {
  usage_error("{} has a value {}: {:g}; {}", rows_->place_of(batch.ids[row].item<int64_t>()),
              describe_violation(support), value, rule.remedy);
}

Batch TransformedRows::read(const std::vector<int64_t>& ids) const {
  Batch batch = rows_->read(ids);
  if (transform_.kind == "log1p")
    require(batch,
            {Support::non_negative, "data.normalize=log1p needs values of 0 or more; use standardize"});
  if (!transform_.is_identity()) batch = batch.with_x(transform_.apply(batch.x));
  require(batch, rule_);
  return batch;
}

void TransformedRows::read_all() const {
  rows_->read_all();
  if (rule_.support == Support::real && rule_.columns.empty() && transform_.kind != "log1p") return;
  const int64_t at_once = std::max<int64_t>(1, rows_per_chunk());
  std::vector<int64_t> ids;
  for (int64_t first = 0; first < rows(); first += at_once) {
    ids.resize(static_cast<size_t>(std::min(at_once, rows() - first)));
    std::iota(ids.begin(), ids.end(), first);
    read(ids);
  }
}

}  // namespace elbo
