#include "elbo/run/observed_columns.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "elbo/base/error.h"
#include "elbo/base/index_range.h"
#include "elbo/base/log.h"
#include "elbo/data/transform.h"

namespace elbo {
namespace {

constexpr int64_t counted_at_once = 1 << 20;

// (b, …row) → (columns) int64: how many of each column are true. fitted: of fitted_shape().
torch::Tensor count_by_column(const torch::Tensor& mask, const std::vector<int64_t>& fitted) {
  return mask.movedim(-std::ssize(fitted), 0).flatten(1).sum(1, false, torch::kInt64);
}

}  // namespace

std::vector<ColumnCount> count_missing(Communicator& world, const RowSource& rows, const DataShape& shape) {
  const std::vector<int64_t> fitted = fitted_shape("standardize", shape.x, shape.spatial());
  const int64_t columns = fitted.front();
  const int64_t step = std::clamp<int64_t>(counted_at_once / shape.features(), 1, rows.rows());
  const IndexRange own = partition({0, (rows.rows() + step - 1) / step}, world.rank(), world.size());
  torch::Tensor observed = torch::zeros({columns}, torch::kInt64);
  for (int64_t part = own.first; part < own.end; ++part) {
    std::vector<int64_t> ids(static_cast<size_t>(std::min(step, rows.rows() - part * step)));
    std::iota(ids.begin(), ids.end(), part * step);
    observed += count_by_column(rows.read(ids).observed, fitted);
  }
  world.all_reduce(observed, ReduceOp::sum);
  const int64_t values = rows.rows() * shape.features() / columns;
  std::vector<ColumnCount> counts(static_cast<size_t>(columns));
  for (size_t i = 0; i < counts.size(); ++i)
    counts[i] = {.values = values, .missing = values - observed.const_data_ptr<int64_t>()[i]};
  return counts;
}

void require_observed_columns(Communicator& world, const Dataset& data) {
  const std::vector<ColumnCount> columns = count_missing(world, data.split("train"), data.shape());
  const std::vector<std::string> names = data.feature_names();
  for (size_t i = 0; i < columns.size(); ++i)
    if (columns[i].missing == columns[i].values)
      usage_error(
          "column {} of the training rows has no observed value, so nothing can be learned about it; leave "
          "it out",
          column_name(i, names));
  if (world.rank() == 0) log::info("data.missing=mask: {}", describe_missing(columns, names));
}

}  // namespace elbo
