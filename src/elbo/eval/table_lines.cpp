#include "elbo/eval/table_lines.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

using Type = ArrowColumn::Type;

class TextLines final : public TableLines {
 public:
  TextLines(const std::string& path, char separator)
      : path_(path), separator_(separator), target_(path), out_(target_.temporary_path(), std::ios::binary) {}

  void begin(const std::vector<ArrowColumn>& columns) override {
    for (const ArrowColumn& column : columns) add(column.name);
    end_line();
  }
  // A line that begins with an empty field has quotes there: it is not empty.
  void add(const std::string& text) override {
    if (!line_.empty()) line_ += separator_;
    line_ += text.empty() && line_.empty() ? "\"\"" : as_field(text, separator_);
  }
  void add(int64_t number) override { add(std::to_string(number)); }
  void add(double number) override { add(number_text(number)); }
  void add(const DataColumn& column, const double* values, bool is_mean) override {
    add(column.text(values, is_mean));
  }
  void end_line() override {
    line_ += '\n';
    out_.write(line_.data(), static_cast<std::streamsize>(line_.size()));
    line_.clear();
  }
  void finish() override {
    out_.close();
    if (!out_) fail("{}: cannot be written; is the disk full?", path_);
    target_.commit();
  }

 private:
  std::string path_;
  char separator_;
  AtomicFile target_;
  std::ofstream out_;
  std::string line_;
};

// The numbers that a text file would have, as its shortest decimals say them.
double rounded_as_text(double value) { return std::isnan(value) ? value : std::stod(number_text(value)); }

class ArrowLines final : public TableLines {
 public:
  explicit ArrowLines(const std::string& path) : path_(path), target_(path) { require_arrow(path); }

  void begin(const std::vector<ArrowColumn>& columns) override {
    columns_ = columns;
    values_.resize(columns.size());
    table_ = create_arrow_table(target_.temporary_path(), path_, path_.ends_with(".feather"), columns);
  }
  void add(const std::string& text) override { add_field(0, text, true); }
  void add(int64_t number) override { add_field(static_cast<double>(number), {}, true); }
  void add(double number) override { add_field(rounded_as_text(number), {}, !std::isnan(number)); }
  void add(const DataColumn& column, const double* values, bool is_mean) override {
    const double first = values[column.first];
    const bool is_there = !std::isnan(first);
    switch (columns_[next_].type) {
      case Type::text:
        return add_field(0, column.text(values, is_mean), is_there);
      case Type::truth:
        return add_field(column.text(values, is_mean) == "true" ? 1 : 0, {}, is_there);
      case Type::instant:  // float32 has no seconds of dates
        return add_field(std::round(first * 1440) * 60, {}, is_there);
      case Type::real:
        return add(first);
      default:
        return add_field(first, {}, is_there);
    }
  }
  void end_line() override {
    next_ = 0;
    constexpr size_t lines_at_once = 1 << 16;
    if (values_.front().valid.size() == lines_at_once) flush();
  }
  void finish() override {
    flush();
    table_->finish();
    target_.commit();
  }

 private:
  void add_field(double number, const std::string& text, bool is_there) {
    ArrowValues& column = values_[next_];
    if (columns_[next_++].type == Type::text)
      column.texts.push_back(text);
    else
      column.numbers.push_back(number);
    column.valid.push_back(is_there ? 1 : 0);
  }
  void flush() {
    if (values_.empty() || values_.front().valid.empty()) return;
    table_->append(values_);
    values_.assign(columns_.size(), {});
  }

  std::string path_;
  AtomicFile target_;
  std::unique_ptr<ArrowTable> table_;
  std::vector<ArrowColumn> columns_;
  std::vector<ArrowValues> values_;
  size_t next_ = 0;  // field of the line
};

}  // namespace

ArrowColumn::Type type_of(const DataColumn& column, bool is_mean) {
  if (column.texts.size() == 2 && std::ranges::count(column.texts, "false") == 1 &&
      std::ranges::count(column.texts, "true") == 1)
    return Type::truth;
  if (!column.texts.empty() || column.form == "clock") return Type::text;
  if (column.form == "date") return Type::date;
  if (column.form == "date_time") return Type::instant;
  return column.form == "whole" && !is_mean ? Type::whole : Type::real;
}

std::unique_ptr<TableLines> lines_of_text(const std::string& path, char separator) {
  return std::make_unique<TextLines>(path, separator);
}

std::unique_ptr<TableLines> lines_of_arrow(const std::string& path) {
  return std::make_unique<ArrowLines>(path);
}

}  // namespace elbo
