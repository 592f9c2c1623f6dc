#include "elbo/convert/csv_columns.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

void note_number(Column& column, double value, bool training) {
  column.least = column.numbers == 0 ? value : std::min(column.least, value);
  column.largest = column.numbers == 0 ? value : std::max(column.largest, value);
  ++column.numbers;
  column.whole = column.whole && value == std::floor(value) && std::abs(value) < 9e15;
  if (!training) return;
  column.sum += value;
  ++column.summed;
}

void note(Column& column, const std::string& field, const TableReader& table, bool training) {
  if (is_missing(field)) {
    ++column.missing;
    return;
  }
  if (column.values.size() <= most_values) column.values.insert(trim(field));
  double value = 0;
  if (parse_real(field, value)) {
    if (!std::isfinite(value))
      usage_error("{}, line {}: column '{}' holds {}; expected finite numbers", table.name(), table.line(),
                  column.name, trim(field));
    note_number(column, value, training);
    return;
  }
  if (column.texts++ == 0)
    column.first_text = fmt::format("'{}' in {}, line {}", trim(field), table.name(), table.line());
}

}  // namespace

bool is_missing(const std::string& text) {
  static constexpr std::array words{"",     "NA",   "N/A",  "n/a",  "NaN", "nan", "NAN",
                                    "null", "NULL", "None", "none", "?",   "-"};
  return std::ranges::find(words, trim(text)) != words.end();
}

std::vector<Column> scan_columns(const TableFiles& files) {
  std::vector<Column> columns;
  std::vector<std::string> names, fields;
  for (const std::string& path : files.paths) {
    TableReader table = files.open(path);
    if (columns.empty()) {
      names = table.columns();
      for (const std::string& name : names) columns.push_back({.name = name, .values = {}, .first_text = ""});
    } else if (table.columns() != names) {
      usage_error("{}: its columns differ from {}; expected the same columns in the same order", path,
                  files.paths.front());
    }
    const std::string split = split_of_file(path);
    const bool training = split.empty() || split == "train";
    while (table.next(fields))
      for (size_t i = 0; i < columns.size(); ++i) note(columns[i], fields[i], table, training);
  }
  return columns;
}

}  // namespace elbo
