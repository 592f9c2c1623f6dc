#include "elbo/convert/csv_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

// The column of the file that a feature of one_hot is from: "region=north" is from "region".
std::string column_of(const std::string& feature, const std::vector<std::string>& names) {
  for (size_t equals = feature.find('='); equals != std::string::npos; equals = feature.find('=', equals + 1))
    if (std::ranges::find(names, feature.substr(0, equals)) != names.end()) return feature.substr(0, equals);
  return "";
}

}  // namespace

void CsvOptions::bind(OptionTable& table) {
  table.add("separator", separator,
            "one character, or tab; auto: a comma, semicolon, tab or vertical bar, whichever "
            "divides the first lines into the same number of fields");
  table.add_choice(
      "header", header, {"auto", "yes", "no"},
      "whether the first line names the columns; auto: if its fields differ and none is a number");
  notation.bind(table);
  table.add("columns", columns, "columns to use, by name or number, separated by commas; empty: all");
  table.add("drop", drop, "columns to leave out, by name or number, separated by commas");
  table.add("label", label, "column of the label; texts become classes 0, 1 … in sorted order");
  table.add("id", id, "column of the names of rows, which become /SPLIT/name and not a feature");
  table.add_choice("categories", categories, {"codes", "one_hot"},
                   "what columns of texts become; codes: numbers 0, 1 … in the sorted order of the texts; "
                   "one_hot: a feature for each text");
  table.add_choice(
      "missing", missing, {"refuse", "drop", "mean", "keep"},
      "what happens to lines with missing values (empty, NA, NaN, null, ?; among numbers also n.d. "
      "and the like); refuse: an error; drop: left out; mean: replaced by the mean of the column in "
      "the training files; keep: stored as NaN");
  table.add("missing_values", missing_values,
            "further texts or numbers that mean a missing value, such as -999, separated by commas");
  table.add_choice("transform", transform, {"none", "log_returns", "differences"},
                   "replaces numbers by their change since the preceding line");
  table.add("standardize", standardize,
            "subtracts the mean of the training rows from numbers, and divides by their standard deviation");
  like.bind(
      table,
      "the folder of a run, or its data set, for new rows of its model: the same columns, codes of texts "
      "and standardisation are written, whatever this file's own are");
  table.add("window", window, "consecutive lines of a row; 0: each line is a row", Range::between(0, 1e6));
  table.add("stride", stride, "lines from one window to the next; 0: the length of a window",
            Range::between(0, 1e6));
  splits.bind(table);
}

CsvPlan::CsvPlan(const CsvOptions& options, TableFiles files, const std::optional<DataDescription>& like)
    : options_(options), files_(std::move(files)), columns_(scan_columns(files_)) {
  std::vector<std::string> names;
  names.reserve(columns_.size());
  for (const Column& column : columns_) names.push_back(column.name);
  const ColumnNotations notations(columns_, options.notation, files_);
  std::vector<size_t> taken = like ? std::vector<size_t>() : taken_columns(names);
  if (!options.label.empty()) {
    const size_t column = find_column(names, options.label, "label");
    std::erase(taken, column);
    label_ = label_of(column, notations.of_label(column));
  }
  if (!options.id.empty()) {
    id_ = find_column(names, options.id, "id");
    std::erase(taken, *id_);
  }
  if (like)
    take_features_of(*like, names, notations);
  else if (taken.empty())
    usage_error("{}: no column is left for the features", files_.paths.front());
  for (const size_t column : taken) features_.push_back(feature_of(column, notations.of_feature(column)));
  report();
}

void CsvPlan::take_features_of(const DataDescription& like, const std::vector<std::string>& names,
                               const ColumnNotations& notations) {
  if (like.columns.empty())
    usage_error("--like={}: its columns have no names; expected a data set that elbo convert made of a table",
                options_.like.path);
  for (const std::string& name : like.columns) {
    const auto codes = like.categories.find(name);
    if (codes != like.categories.end()) {
      features_.push_back({find_column(names, name, "like"), Meaning::code, codes->second});
      continue;
    }
    const bool is_column = std::ranges::find(names, name) != names.end();
    if (const std::string of = is_column ? "" : column_of(name, names); !of.empty()) {
      const size_t column = find_column(names, of, "like");
      if (features_.empty() || features_.back().column != column)
        features_.push_back({column, Meaning::one_hot, {}});
      features_.back().names.push_back(name.substr(of.size() + 1));
      continue;
    }
    const size_t column = find_column(names, name, "like");
    const std::optional<Notation> notation = notations.of_feature(column);
    if (!notation && !columns_[column].values.empty())
      usage_error("{}: column '{}' holds texts ({}); in {} it holds numbers", files_.paths.front(), name,
                  columns_[column].first.place(), options_.like.path);
    features_.push_back({column, Meaning::number, {}, notation.value_or(Notation::point)});
  }
}

// Of all columns, those without a name that hold the number of the line or nothing are not taken.
std::vector<size_t> CsvPlan::taken_columns(const std::vector<std::string>& names) const {
  std::vector<size_t> taken;
  for (const std::string& name : split(options_.columns, ','))
    taken.push_back(find_column(names, name, "columns"));
  if (taken.empty()) {
    const bool have_names = std::ranges::any_of(columns_, &Column::named);
    for (size_t i = 0; i < names.size(); ++i) {
      const Column& column = columns_[i];
      const bool empty = column.fields + column.missing_words == 0;
      if (have_names && !column.named && (empty || (column.counts_lines && column.missing == 0)))
        log::info("column {} has no name and {}: it is left out; --columns takes it", names[i],
                  empty ? "is empty" : "holds the numbers of the lines");
      else
        taken.push_back(i);
    }
  }
  for (const std::string& name : split(options_.drop, ','))
    std::erase(taken, find_column(names, name, "drop"));
  return taken;
}

void CsvPlan::report() const {
  std::vector<ColumnReading> readings;
  for (const Feature& feature : features_)
    if (feature.meaning == Meaning::number) readings.push_back({&columns_[feature.column], feature.notation});
  if (label_ && label_->real) readings.push_back({&columns_[label_->column], label_->notation});
  report_readings(readings, options_.standardize || options_.transform != "none");
}

std::vector<std::string> CsvPlan::feature_names() const {
  std::vector<std::string> names;
  for (const Feature& feature : features_) {
    if (feature.meaning != Meaning::one_hot) names.push_back(name_of(feature));
    if (feature.meaning == Meaning::one_hot)
      for (const std::string& text : feature.names) names.push_back(name_of(feature) + "=" + text);
  }
  return names;
}

std::string CsvPlan::categories() const {
  std::string text;
  size_t first = 0;
  for (const Feature& feature : features_) {
    if (feature.meaning == Meaning::one_hot && feature.width() > 1)
      text += fmt::format("{}{}:{}", text.empty() ? "" : ",", first, feature.width());
    first += feature.width();
  }
  return text;
}

std::string CsvPlan::number_forms() const {
  std::vector<std::string> forms;
  size_t place = 0;
  for (const Feature& feature : features_) {
    const bool whole = columns_[feature.column].in(feature.notation).whole;
    const bool date = feature.notation == Notation::day_first || feature.notation == Notation::month_first;
    const char* const form = feature.meaning != Meaning::number    ? ""
                             : date                                ? (whole ? "date" : "date_time")
                             : feature.notation == Notation::clock ? "clock"
                             : whole                               ? "whole"
                                                                   : "";
    if (*form != '\0') forms.push_back(fmt::format("{}:{}", place, form));
    place += feature.width();
  }
  return join(forms, ",");
}

std::vector<bool> CsvPlan::numeric() const {
  std::vector<bool> result;
  for (const Feature& feature : features_)
    result.insert(result.end(), feature.width(), feature.meaning == Meaning::number);
  return result;
}

void CsvPlan::read(const Take& take) const {
  for (const std::string& path : files_.paths) read_file(path, take);
}

Feature CsvPlan::feature_of(size_t index, std::optional<Notation> notation) const {
  const Column& column = columns_[index];
  if (column.values.empty())
    usage_error("{}: column '{}' has no values; leave it out with --drop={}", files_.paths.front(),
                column.name, column.name);
  if (notation) {
    const Statistics& numbers = column.in(*notation);
    const double largest = std::max(std::abs(numbers.least), std::abs(numbers.largest));
    if (!options_.standardize && largest > std::numeric_limits<float>::max())
      usage_error("{}: column '{}' holds numbers of up to {}; float32 holds 3.4e38: use --standardize",
                  files_.paths.front(), column.name, largest);
    return {index, Meaning::number, {}, *notation};
  }
  if (column.values.size() > most_values)
    usage_error(
        "{}: column '{}' holds more than {} different texts (the first is {}); drop it with --drop={}",
        files_.paths.front(), column.name, most_values, column.first.place(), column.name);
  return {index,
          options_.categories == "one_hot" ? Meaning::one_hot : Meaning::code,
          {column.values.begin(), column.values.end()}};
}

LabelColumn CsvPlan::label_of(size_t index, std::optional<Notation> notation) const {
  const Column& column = columns_[index];
  const Statistics numbers = notation ? column.in(*notation) : Statistics{};
  if (notation && (!numbers.whole || *notation > Notation::comma)) return {index, true, {}, *notation};
  if (notation && numbers.least >= 0 && numbers.largest < 65536) return {index, false, {}, *notation};
  if (column.values.size() > most_values)
    usage_error("{}: --label={}: the column holds more than {} different values; expected classes",
                files_.paths.front(), column.name, most_values);
  return {index, false, sorted_classes({column.values.begin(), column.values.end()})};
}

void CsvPlan::read_file(const std::string& path, const Take& take) const {
  const std::string split = split_of_file(path);
  const auto window = static_cast<size_t>(std::max<int64_t>(1, options_.window));
  const auto stride =
      static_cast<size_t>(options_.stride == 0 ? static_cast<int64_t>(window) : options_.stride);
  TableReader table = files_.open(path);
  std::vector<std::string> fields;
  std::optional<Line> before;
  std::deque<Line> lines;
  size_t to_skip = 0;  // lines between windows
  while (table.next(fields)) {
    std::optional<Line> line = parse(fields, table);
    if (!line) continue;
    if (options_.transform != "none") {
      Line now = std::move(*line);
      line.reset();
      if (before) line = change(*before, now, table);
      before = std::move(now);
      if (!line) continue;
    }
    if (to_skip > 0) {
      --to_skip;
      continue;
    }
    lines.push_back(std::move(*line));
    if (lines.size() < window) continue;
    take(lines, split);
    to_skip = stride > window ? stride - window : 0;
    lines.erase(lines.begin(), lines.begin() + static_cast<int64_t>(std::min(stride, window)));
  }
}

void CsvPlan::add_category(const Feature& feature, const std::string& field, const TableReader& table,
                           std::vector<double>& values) const {
  const std::string text = trim(field);
  const auto found = std::ranges::lower_bound(feature.names, text);
  if (found == feature.names.end() || *found != text)
    usage_error("{}, line {}: column '{}' holds '{}', which {} does not have; expected {}", table.name(),
                table.line(), name_of(feature), text, options_.like.path, fmt::join(feature.names, ", "));
  const auto place = static_cast<size_t>(found - feature.names.begin());
  if (feature.meaning != Meaning::one_hot) {
    values.push_back(static_cast<double>(place));
    return;
  }
  values.resize(values.size() + feature.names.size(), 0);
  values[values.size() - feature.names.size() + place] = 1;
}

// False if the line is left out.
bool CsvPlan::add_feature(const Feature& feature, const std::string& field, const TableReader& table,
                          std::vector<double>& values) const {
  const bool number = feature.meaning == Meaning::number;
  if (!files_.is_missing_here(field) && !(number && is_missing_number(field))) {
    if (number)
      values.push_back(value_of(field, feature.notation).value_or(std::nan("")));
    else
      add_category(feature, field, table, values);
    return true;
  }
  if (options_.missing == "drop") return false;
  if (options_.missing == "keep") {
    values.insert(values.end(), feature.width(), std::nan(""));
    return true;
  }
  if (options_.missing == "refuse" || !number) refuse_missing(feature.column, number, field, table);
  values.push_back(columns_[feature.column].in(feature.notation).mean());
  return true;
}

// None if the line is left out.
std::optional<Line> CsvPlan::parse(const std::vector<std::string>& fields, const TableReader& table) const {
  Line line;
  if (id_) line.name = trim(fields[*id_]);
  for (const Feature& feature : features_)
    if (!add_feature(feature, fields[feature.column], table, line.values)) return std::nullopt;
  if (!label_) return line;
  const std::string& field = fields[label_->column];
  const bool number = label_->names.empty();
  if (files_.is_missing_here(field) || (number && is_missing_number(field))) {
    if (options_.missing == "drop") return std::nullopt;
    refuse_missing(label_->column, false, field, table);
  }
  if (number) {
    line.label = value_of(field, label_->notation).value_or(std::nan(""));
  } else {
    line.label = static_cast<double>(std::ranges::find(label_->names, trim(field)) - label_->names.begin());
  }
  return line;
}

void CsvPlan::refuse_missing(size_t column, bool numeric, const std::string& field,
                             const TableReader& table) const {
  const std::string word = trim(field), name = columns_[column].name;
  std::string remedies = "--missing=drop to leave such lines out";
  if (numeric) remedies += ", --missing=mean to fill them, --missing=keep to store NaN";
  if (numeric && !word.empty())
    remedies += fmt::format(", --categorical={} if '{}' is a category", name, word);
  usage_error("{}, line {}: column '{}' has no value{}; use {}", table.name(), table.line(), name,
              word.empty() ? "" : fmt::format(" but '{}'", word), remedies);
}

Line CsvPlan::change(const Line& before, const Line& now, const TableReader& table) const {
  Line result = now;
  result.before = before.values;
  size_t place = 0;
  for (const Feature& feature : features_) {
    const double old = before.values[place], value = now.values[place];
    if (feature.meaning == Meaning::number && options_.transform == "differences")
      result.values[place] = value - old;
    if (feature.meaning == Meaning::number && options_.transform == "log_returns") {
      if (value <= 0 || old <= 0)
        usage_error("{}, line {}: column '{}' holds {}; log returns need positive numbers", table.name(),
                    table.line(), name_of(feature), value <= 0 ? value : old);
      result.values[place] = std::log(value / old);
    }
    place += feature.width();
  }
  return result;
}

}  // namespace elbo
