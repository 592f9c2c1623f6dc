#include "elbo/eval/data_columns.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
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

// Of seconds from 0 to a day.
std::string clock_text(int64_t seconds) {
  const int64_t minutes = seconds / 60;
  const std::string text = fmt::format("{:02}:{:02}", minutes / 60, minutes % 60);
  return seconds % 60 == 0 ? text : fmt::format("{}:{:02}", text, seconds % 60);
}

std::string date_text(int64_t days) {
  const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(days))};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

std::string formed(double value, const std::string& form, bool is_mean) {
  constexpr double most = 1e7;  // days or hours that can be written
  if (form == "whole" && !is_mean) return fmt::format("{:.0f}", value);
  if (form.empty() || form == "whole" || std::abs(value) > most) return number_text(value);
  constexpr int64_t day = 86400;
  if (form == "clock") return clock_text(std::clamp<int64_t>(std::llround(value * 3600), 0, day));
  if (form == "date") return date_text(std::llround(value));
  const int64_t seconds = std::llround(value * 1440) * 60;  // float32 has no seconds of dates
  const int64_t days = (seconds - (seconds % day + day) % day) / day;
  return fmt::format("{} {}", date_text(days), clock_text(seconds - days * day));
}

}  // namespace

std::string number_text(double value) {
  return std::isnan(value) ? "" : fmt::format("{}", static_cast<float>(value));
}

std::string DataColumn::text(const double* values, bool is_mean) const {
  const double value = number(values, is_mean);
  if (std::isnan(value)) return "";
  return texts.empty() ? formed(value, form, is_mean) : texts[static_cast<size_t>(value)];
}

double DataColumn::number(const double* values, bool is_mean) const {
  const double* const begin = values + first;
  if (std::isnan(*begin)) return *begin;
  if (count > 1) return static_cast<double>(std::max_element(begin, begin + count) - begin);
  if (!texts.empty()) return std::round(std::clamp(*begin, 0.0, static_cast<double>(texts.size()) - 1));
  return form == "whole" && !is_mean ? std::round(*begin) + 0.0 : *begin;
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
      const auto form = description.number_forms.find(feature);
      if (form != description.number_forms.end() && description.change == "none")
        columns.back().form = form->second;
    }
    feature += columns.back().count;
  }
  return columns;
}

torch::Tensor in_units_of_table(const DataDescription& description, const torch::Tensor& x,
                                const torch::Tensor& before) {
  torch::Tensor table = description.unstandardized(x.to(torch::kFloat64));
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
