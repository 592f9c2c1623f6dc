#include "elbo/data/float32_steps.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>

namespace elbo {
namespace {

constexpr int64_t rows_at_an_end = 64, most_elements = 1 << 22;

// (rows, features) float64: some of the first and of the last rows.
torch::Tensor rows_at_both_ends(const DataFile& file, const RowView& view, const hdf5::DatasetInfo& info) {
  const int64_t rows = info.shape.front(), features = info.row_elements();
  const int64_t count = std::clamp<int64_t>(most_elements / features, 1, std::min(rows_at_an_end, rows));
  torch::Tensor values = torch::empty({2 * count, features}, torch::kFloat64);
  const std::shared_ptr<const RowReader> reader = open_rows(file, view, torch::kFloat64);
  reader->read(0, count, values.mutable_data_ptr());
  reader->read(rows - count, count, values.narrow(0, count, count).mutable_data_ptr());
  return values;
}

}  // namespace

std::string lost_in_float32(const DataFile& file, const RowView& view) {
  constexpr double largest_loss = 0.01;
  constexpr size_t exact_integers = 2;  // bytes
  const hdf5::DatasetInfo stored = file.describe(view.path), info = describe_rows(file, view);
  const size_t exact = stored.type_class == H5T_FLOAT ? sizeof(float) : exact_integers;
  if (!stored.numeric() || stored.type_size <= exact || info.row_elements() > most_elements) return "";
  const torch::Tensor values = rows_at_both_ends(file, view, info);
  const torch::Tensor range = values.amax(0) - values.amin(0);
  const torch::Tensor loss = (values - values.to(torch::kFloat32).to(torch::kFloat64)).abs().amax(0);
  const torch::Tensor lost = (loss > largest_loss * range).logical_and(range > 0).nonzero();
  if (lost.size(0) == 0) return "";
  const int64_t column = lost[0].item<int64_t>();
  return fmt::format(
      "{} of the {} values of a row of {} differ by less than float32 can hold, the first of them at {}: "
      "{:.10g} "
      "to {:.10g}; they are rounded; subtract an offset, or leave them out",
      lost.size(0), values.size(1), view.path, column, values.select(1, column).min().item<double>(),
      values.select(1, column).max().item<double>());
}

}  // namespace elbo
