#include "elbo/convert/csv_columns.h"

#include <algorithm>
#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

void keep_first(Field& first, const std::string& text, const TableReader& table) {
  if (!first) first = {trim(text), table.name(), table.line()};
}

void note_value(Statistics& all, double value, bool training) {
  all.least = all.count == 0 ? value : std::min(all.least, value);
  all.largest = all.count == 0 ? value : std::max(all.largest, value);
  ++all.count;
  all.whole = all.whole && value == std::floor(value) && std::abs(value) < 9e15;
  if (!training) return;
  all.sum += value;
  ++all.summed;
}

// 00501, but not 0 or 0.5.
bool has_leading_zero(const std::string& field) {
  const std::string digits = trim(field);
  return digits.size() > 1 && digits.front() == '0' &&
         digits.find_first_not_of("0123456789") == std::string::npos;
}

using Values = std::array<std::optional<double>, all_notations.size()>;  // of a field

// plain: the number that parse_real() reads, if it reads one; value_of() would parse it again.
Values values_of(const std::string& field, std::optional<double> plain) {
  Values values;
  for (const Notation notation : all_notations) {
    if (notation == Notation::point && plain) {
      values[0] = plain;
      continue;
    }
    if (notation > Notation::comma && (values[0] || values[1])) break;  // a number is not a date
    values.at(static_cast<size_t>(notation)) = value_of(field, notation);
  }
  return values;
}

void note_marks(Column& column, const std::string& field, const TableReader& table) {
  const std::optional<std::string> marks = marks_of(field);
  if (!marks) return;
  if (column.marked++ == 0) column.marks = *marks;
  keep_first(column.first_marked, field, table);
  column.same_marks = column.same_marks && column.marks == *marks;
}

void note_order(Column& column, std::optional<double> value) {
  const double first = column.fields == 0 ? value.value_or(-1) : column.in(Notation::point).least;
  column.counts_lines = column.counts_lines && (first == 0 || first == 1) && value &&
                        *value == first + static_cast<double>(column.fields);
}

void note(Column& column, const std::string& field, const TableReader& table, bool training) {
  double number = 0;
  const bool is_plain = parse_real(field, number);
  const Values values = values_of(field, is_plain ? std::optional(number) : std::nullopt);
  note_order(column, values[0]);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::optional<double> value = values.at(i);
    if (!value) {
      keep_first(column.read.at(i).other, field, table);
      continue;
    }
    if (!std::isfinite(*value))
      usage_error("{}, line {}: column '{}' holds {}; expected finite numbers", table.name(), table.line(),
                  column.name, trim(field));
    note_value(column.read.at(i), *value, training);
  }
  const auto differ = [&](Notation one, Notation other) {
    const auto a = values.at(static_cast<size_t>(one)), b = values.at(static_cast<size_t>(other));
    return a && b && *a != *b;
  };
  if (differ(Notation::point, Notation::comma)) keep_first(column.unclear_number, field, table);
  if (differ(Notation::day_first, Notation::month_first)) keep_first(column.unclear_date, field, table);
  if (!is_plain) keep_first(column.not_plain, field, table);
  if (has_leading_zero(field)) keep_first(column.leading_zero, field, table);
  if (!values[0] && !values[1]) note_marks(column, field, table);
  keep_first(column.first, field, table);
  ++column.fields;
}

void note_field(Column& column, const std::string& field, const TableFiles& files, const TableReader& table,
                bool training) {
  if (files.is_missing_here(field)) {
    ++column.missing;
    return;
  }
  if (column.values.size() <= most_values) column.values.insert(trim(field));
  if (is_missing_number(field)) {
    ++column.missing_words;
  } else {
    note(column, field, table, training);
  }
}

}  // namespace

std::string Field::place() const { return fmt::format("'{}' in {}, line {}", text, file, line); }

bool TableFiles::is_missing_here(const std::string& field) const {
  return is_missing(field) ||
         (!missing_values.empty() && std::ranges::find(missing_values, trim(field)) != missing_values.end());
}

std::vector<Column> scan_columns(const TableFiles& files) {
  std::vector<Column> columns;
  std::vector<std::string> names, fields;
  for (const std::string& path : files.paths) {
    TableReader table = files.open(path);
    if (columns.empty()) {
      names = table.columns();
      table.report_repeated();
      columns.resize(names.size());
      for (size_t i = 0; i < names.size(); ++i) {
        columns[i].name = names[i];
        columns[i].named = names[i] != std::to_string(i + 1);
      }
    } else if (table.columns() != names) {
      usage_error("{}: its columns differ from {}; expected the same columns in the same order", path,
                  files.paths.front());
    }
    const std::string split = split_of_file(path);
    const bool training = split.empty() || split == "train";
    while (table.next(fields))
      for (size_t i = 0; i < columns.size(); ++i) note_field(columns[i], fields[i], files, table, training);
    table.report_latin1();
  }
  return columns;
}

}  // namespace elbo
