#include "elbo/data/missing_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "elbo/base/text.h"

namespace elbo {

std::string column_name(size_t column, const std::vector<std::string>& names) {
  return names.empty() ? std::to_string(column) : fmt::format("'{}'", names[column]);
}

std::string describe_missing(const std::vector<ColumnCount>& columns, const std::vector<std::string>& names) {
  const auto share = [](const ColumnCount& count) {
    return static_cast<double>(count.missing) / static_cast<double>(std::max<int64_t>(1, count.values));
  };
  ColumnCount all;
  std::vector<size_t> order(columns.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (const ColumnCount& column : columns) {
    all.values += column.values;
    all.missing += column.missing;
  }
  if (all.missing == 0) return "no value is missing";
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](size_t i) { return share(columns[i]); });
  constexpr size_t shown = 4;
  std::vector<std::string> worst;
  for (size_t i = 0; i < std::min(shown, order.size()) && columns[order[i]].missing > 0; ++i)
    worst.push_back(
        fmt::format("{} ({:.3g} %)", column_name(order[i], names), 100 * share(columns[order[i]])));
  std::string total =
      fmt::format("{} of {} values are missing ({:.3g} %)", all.missing, all.values, 100 * share(all));
  if (columns.size() == 1) return total;
  return fmt::format("{}, {} {}", total, worst.size() == 1 ? "all in column" : "most in columns",
                     join(worst, ", "));
}

}  // namespace elbo
