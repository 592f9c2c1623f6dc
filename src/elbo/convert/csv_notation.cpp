#include "elbo/convert/csv_notation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

constexpr int64_t few_fields = 20;      // fewer do not show whether a text is an identifier
constexpr int64_t few_categories = 20;  // numbers that are as few may be categories

// The notation of most fields.
Notation most_frequent(const Column& column) {
  return *std::ranges::max_element(all_notations, {},
                                   [&](Notation notation) { return column.in(notation).count; });
}

int64_t different_numbers(const Column& column) {
  return std::ranges::count_if(column.values, [](const std::string& text) {
    return std::ranges::any_of(all_notations,
                               [&](Notation notation) { return value_of(text, notation).has_value(); });
  });
}

bool has_letter(const std::string& text) {
  return std::ranges::any_of(text, [](unsigned char c) { return std::isalpha(c) != 0; });
}

// "5 mg", "10 mg" and "20 %" are quantities, "1st", "2nd" and "3rd" are not.
bool are_quantities(const Column& column) {
  return column.marked * 2 >= column.fields && (column.same_marks || !has_letter(column.marks));
}

void refuse_identifiers(const Column& column) {
  const auto different = static_cast<int64_t>(column.values.size());
  if (column.fields < few_fields || different * 2 <= column.fields) return;
  usage_error(
      "column '{}': {} of its {} values differ, such as {}: they are names, not categories; leave it out "
      "with "
      "--drop={}, or use --categorical={}",
      column.name,
      different > static_cast<int64_t>(most_values) ? fmt::format("over {}", most_values)
                                                    : std::to_string(different),
      column.fields, column.first.place(), column.name, column.name);
}

// The header is looked for by names that differ.
std::string why_line_1_is_no_header(const std::vector<Column>& columns) {
  std::set<std::string> different;
  for (const Column& column : columns)
    if (column.first.line == 1 && !different.insert(column.first.text).second)
      return fmt::format("; it is not taken for a header because it repeats '{}'", column.first.text);
  return "";
}

std::string first_names(std::vector<std::string> names) {
  constexpr size_t most_names = 12;
  const size_t others = names.size() > most_names ? names.size() - most_names : 0;
  if (others > 0) names.resize(most_names);
  return join(names, ", ") + (others > 0 ? fmt::format(" and {} others", others) : "");
}

}  // namespace

void NotationOptions::bind(OptionTable& table) {
  table.add_choice(
      "decimal", decimal, {"auto", ".", ","},
      "decimal sign of numbers, the other one separates thousands; auto: decided for each column "
      "by all of its values");
  table.add_choice(
      "dates", dates, {"auto", "day_first", "month_first"},
      "order of dates such as 31/12/2020; auto: decided for each column by all of its values. Dates "
      "become days since 1970-01-01, times of day hours");
  table.add("categorical", categorical,
            "columns whose values are categories even where they are numbers or dates, by name or number, "
            "separated by commas");
}

ColumnNotations::ColumnNotations(const std::vector<Column>& columns, const NotationOptions& options,
                                 const TableFiles& files)
    : columns_(columns),
      options_(options),
      separator_(files.separator),
      header_is_given_(files.header != "auto") {
  std::vector<std::string> names;
  for (const Column& column : columns) {
    names.push_back(column.name);
    const bool point = column.all_in(Notation::point), comma = column.all_in(Notation::comma);
    sure_of_point_ = sure_of_point_ || (point && !comma);
    sure_of_comma_ = sure_of_comma_ || (comma && !point);
  }
  for (const std::string& name : split(options.categorical, ','))
    categorical_.push_back(&columns[find_column(names, name, "categorical")]);
}

bool ColumnNotations::categorical(const Column& column) const {
  return std::ranges::find(categorical_, &column) != categorical_.end();
}

// Both notations fit, with different values: other columns or the separator decide.
std::optional<Notation> ColumnNotations::unclear(const Column& column) const {
  const Field& field = column.unclear_number;
  const bool with_comma = field.text.find(',') != std::string::npos;
  if (!with_comma && (sure_of_point_ || !sure_of_comma_)) return Notation::point;
  if (sure_of_comma_ != sure_of_point_) return sure_of_comma_ ? Notation::comma : Notation::point;
  if (with_comma && !sure_of_comma_ && separator_ == ",") {
    log::warning("column '{}': commas separate thousands in {}; use --decimal=, if they are decimal commas",
                 column.name, field.place());
    return Notation::point;
  }
  usage_error(
      "column '{}': {} may have thousands separators or decimals; use --decimal=, if commas are decimal "
      "signs, or --decimal=. if points are",
      column.name, field.place());
}

std::optional<Notation> ColumnNotations::uniform(const Column& column) const {
  const bool point = options_.decimal != "," && column.all_in(Notation::point);
  const bool comma = options_.decimal != "." && column.all_in(Notation::comma);
  if (point && comma && column.unclear_number) return unclear(column);
  if (point) return Notation::point;
  if (comma) return Notation::comma;
  const bool day_first = options_.dates != "month_first" && column.all_in(Notation::day_first);
  const bool month_first = options_.dates != "day_first" && column.all_in(Notation::month_first);
  if (day_first && month_first && column.unclear_date)
    usage_error(
        "column '{}': {} is a date whose first number may be the day or the month; use "
        "--dates=day_first or --dates=month_first",
        column.name, column.unclear_date.place());
  if (day_first) return Notation::day_first;
  if (month_first) return Notation::month_first;
  if (column.all_in(Notation::clock)) return Notation::clock;
  return std::nullopt;
}

// Where the options exclude the notation of most fields: the other one.
Notation ColumnNotations::permitted(Notation notation) const {
  if (notation == Notation::comma && options_.decimal == ".") return Notation::point;
  if (notation == Notation::point && options_.decimal == ",") return Notation::comma;
  if (notation == Notation::day_first && options_.dates == "month_first") return Notation::month_first;
  if (notation == Notation::month_first && options_.dates == "day_first") return Notation::day_first;
  return notation;
}

// Categories that are written as numbers would be ranks of texts.
void ColumnNotations::refuse_mixed(const Column& column) const {
  const Notation notation = most_frequent(column);
  const int64_t count = column.in(notation).count;
  const Field& other = column.in(permitted(notation)).other;
  if (count * 2 >= column.fields || (count > 0 && different_numbers(column) > few_categories))
    usage_error(
        "column '{}': {} is among {}; correct it, name it in --missing_values if it means that there is no "
        "value, or use --categorical={} if all are categories{}",
        column.name, other.place(), notation <= Notation::comma ? "numbers" : "dates", column.name,
        other.line == 1 && !header_is_given_
            ? ", or --header=yes if line 1 names the columns" + why_line_1_is_no_header(columns_)
            : "");
  const bool quantities = are_quantities(column);
  if (quantities && static_cast<int64_t>(column.values.size()) > few_categories)
    usage_error(
        "column '{}': {} is a number with '{}'; remove that from the file, or use --categorical={} if "
        "the values are categories",
        column.name, column.first_marked.place(), column.marks, column.name);
  if (count > 0 || quantities)
    log::warning("column '{}' holds numbers and texts, such as {}: all become categories", column.name,
                 (count > 0 ? other : column.first_marked).place());
}

// "1.5 2.5" and "120 340" in a table of one column are several columns.
void ColumnNotations::refuse_blanks(const Column& column) const {
  const std::string& text = column.not_plain.text;
  const bool numbers = !text.empty() && std::ranges::none_of(text, [](unsigned char c) {
    return std::isalpha(c) != 0 || c == ':';
  });
  if (columns_.size() == 1 && numbers && text.find(' ') != std::string::npos)
    usage_error("column '{}', the only one: holds {}; use --separator=' ' if blanks separate columns",
                column.name, column.not_plain.place());
}

std::optional<Notation> ColumnNotations::of_feature(size_t index) const {
  const Column& column = columns_[index];
  if (categorical(column) || column.fields == 0) return std::nullopt;
  refuse_blanks(column);
  if (const std::optional<Notation> notation = uniform(column)) return notation;
  refuse_mixed(column);
  refuse_identifiers(column);
  return std::nullopt;
}

std::optional<Notation> ColumnNotations::of_label(size_t index) const {
  const Column& column = columns_[index];
  if (categorical(column) || column.fields == 0) return std::nullopt;
  const std::optional<Notation> notation = uniform(column);
  if (notation && column.missing_words > 0 && column.in(*notation).whole) return std::nullopt;
  if (notation) return notation;
  if (!column.in(most_frequent(column)).whole) refuse_mixed(column);
  return std::nullopt;
}

void report_readings(const std::vector<ColumnReading>& readings, bool exact) {
  constexpr double exact_in_float32 = 16777216;
  std::map<std::string, std::pair<std::vector<std::string>, Field>> reports;  // → columns, example
  for (const ColumnReading& reading : readings) {
    const Column* const column = reading.column;
    const Notation notation = reading.notation;
    const auto report = [&](const std::string& what, const Field& example) {
      auto& [names, first] = reports[what];
      if (names.empty()) first = example;
      names.push_back(column->name);
    };
    const Statistics& values = column->in(notation);
    const bool date = notation == Notation::day_first || notation == Notation::month_first;
    const double largest = std::max(std::abs(values.least), std::abs(values.largest));
    if (notation == Notation::point && column->not_plain)
      report("numbers with thousands separators", column->not_plain);
    if (notation == Notation::comma && column->not_plain)
      report("numbers with decimal commas", column->not_plain);
    if (notation <= Notation::comma && column->leading_zero)
      report("numbers lose their leading zeros; --categorical keeps codes", column->leading_zero);
    if (date) report("dates become days since 1970-01-01", column->first);
    if (notation == Notation::clock) report("times become hours", column->first);
    if (!exact && date && !values.whole)
      report("float32 keeps these times to minutes; --standardize keeps more", column->first);
    if (!exact && notation <= Notation::comma && values.whole && largest > exact_in_float32)
      report("float32 keeps 7 digits of large whole numbers; --standardize keeps more", column->first);
  }
  for (const auto& [what, where] : reports)
    log::info("{}: column{} {}, such as {}", what, where.first.size() == 1 ? "" : "s",
              first_names(where.first), where.second.place());
}

}  // namespace elbo
