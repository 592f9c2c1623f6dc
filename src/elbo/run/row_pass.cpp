#include "elbo/run/row_pass.h"

#include <torch/types.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace elbo {
namespace {

// Numbers that are read at once: a part of a pass over the rows, and the unit of its sums.
constexpr int64_t numbers_at_once = 1 << 20;

int64_t rows_at_once(int64_t rows, int64_t features) {
  return std::clamp<int64_t>(numbers_at_once / features, 1, std::min<int64_t>(rows, 4096));
}

}  // namespace

RowPass::RowPass(const Communicator& world, const RowSource& rows, int64_t features)
    : rows_(rows),
      step_(rows_at_once(rows.rows(), features)),
      parts_((rows.rows() + step_ - 1) / step_),
      own_(partition({0, parts_}, world.rank(), world.size())) {}

Batch RowPass::read(int64_t part) const {
  const int64_t first = part * step_, end = std::min(first + step_, rows_.rows());
  std::vector<int64_t> ids(static_cast<size_t>(end - first));
  std::iota(ids.begin(), ids.end(), first);
  return rows_.read(ids);
}

Batch sample_rows(const RowSource& rows, int64_t features) {
  constexpr int64_t most_rows = 1024, most_numbers = 4 << 20;
  const int64_t taken = std::min({rows.rows(), most_rows, std::max<int64_t>(1, most_numbers / features)});
  std::vector<int64_t> ids;
  ids.reserve(static_cast<size_t>(taken));
  for (int64_t i = 0; i < taken; ++i) ids.push_back(i * rows.rows() / taken);
  return rows.read(ids);
}

torch::Tensor observed_values(const Batch& batch) {
  return batch.observed.defined() ? batch.x.masked_select(batch.observed) : batch.x;
}

torch::Tensor observed_or_zero(const Batch& batch) {
  const torch::Tensor observed = observed_values(batch);
  return observed.numel() > 0 ? observed : torch::zeros({1});
}

double largest_value(Communicator& world, const RowSource& rows, int64_t features, double enough) {
  const RowPass pass(world, rows, features);
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t part = pass.own().first; part < pass.own().end && !(largest > enough); ++part)
    largest = std::max(largest, pass.read(part).x.max().item<double>());
  torch::Tensor all = torch::full({1}, largest, torch::kFloat64);
  world.all_reduce(all, ReduceOp::max);
  return all.item<double>();
}

bool all_zero_or_one(Communicator& world, const RowSource& rows, int64_t features) {
  const RowPass pass(world, rows, features);
  const auto binary = [](const torch::Tensor& x) { return x.eq(0).logical_or(x.eq(1)).all().item<bool>(); };
  bool all = binary(sample_rows(rows, features).x);
  for (int64_t part = pass.own().first; part < pass.own().end && all; ++part) all = binary(pass.read(part).x);
  torch::Tensor others = torch::full({1}, all ? 0 : 1, torch::kInt32);
  world.all_reduce(others, ReduceOp::max);
  return others.item<int>() == 0;
}

}  // namespace elbo
