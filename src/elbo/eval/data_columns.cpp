#include "elbo/eval/data_columns.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>

namespace elbo {
namespace {

// A block "region=north", "region=south": the name before the sign, and the texts after it.
DataColumn one_hot_column(const std::vector<std::string>& names, int64_t first, int64_t count) {
  const auto begin = names.begin() + first;
  DataColumn column{.name = begin->substr(0, begin->find('=')), .first = first, .count = count};
  for (auto name = begin; name != begin + count; ++name)
    column.texts.push_back(name->starts_with(column.name + "=") ? name->substr(column.name.size() + 1)
                                                                : *name);
  return column;
}

}  // namespace

std::string number_text(double value) {
  return std::isnan(value) ? "" : fmt::format("{}", static_cast<float>(value));
}

std::string DataColumn::text(const double* values) const {
  const double* const begin = values + first;
  if (texts.empty()) return number_text(*begin);
  if (std::isnan(*begin)) return "";
  const double last = static_cast<double>(texts.size()) - 1;
  const auto place =
      count > 1 ? std::max_element(begin, begin + count) - begin : std::lround(std::clamp(*begin, 0.0, last));
  return texts[static_cast<size_t>(place)];
}

std::vector<DataColumn> columns_of(const DataDescription& description, int64_t features) {
  const std::vector<std::string>& names = description.columns;
  std::vector<DataColumn> columns;
  if (std::ssize(names) != features) return columns;
  for (int64_t feature = 0; feature < features;) {
    const auto block = std::ranges::find(description.one_hot, feature, &std::pair<int64_t, int64_t>::first);
    const int64_t count = block == description.one_hot.end() ? 1 : block->second;
    if (count > 1 && feature + count <= features) {
      columns.push_back(one_hot_column(names, feature, count));
    } else {
      const std::string& name = names[static_cast<size_t>(feature)];
      columns.push_back({.name = name, .first = feature});
      if (const auto texts = description.categories.find(name); texts != description.categories.end())
        columns.back().texts = texts->second;
    }
    feature += columns.back().count;
  }
  return columns;
}

torch::Tensor in_units_of_table(const DataDescription& description, const torch::Tensor& x,
                                const torch::Tensor& before) {
  const torch::Tensor table = description.unstandardized(x.to(torch::kFloat64));
  if (description.change == "none" || std::ssize(description.columns) != x.size(-1)) return table;
  const bool returns = description.change == "log_returns";
  torch::Tensor levels = returns ? table.cumsum(-2).exp() : table.cumsum(-2);
  if (before.defined()) {
    std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
    shape.front() = x.size(0), shape.back() = x.size(-1);
    levels = returns ? levels * before.view(shape) : levels + before.view(shape);
  }
  torch::Tensor numeric = torch::empty({x.size(-1)}, torch::kBool);
  const std::vector<bool> numbers = description.numeric();
  for (size_t i = 0; i < numbers.size(); ++i)
    numeric[static_cast<int64_t>(i)] = static_cast<bool>(numbers[i]);
  return torch::where(numeric, levels, table);
}

}  // namespace elbo
