// The mapping from the columns of a table to features and a label.
#pragma once
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "elbo/convert/csv_columns.h"
#include "elbo/convert/csv_notation.h"
#include "elbo/convert/like.h"
#include "elbo/convert/splits.h"

namespace elbo {

struct CsvOptions {
  std::string separator, header = "auto", columns, drop, label, id;
  NotationOptions notation;
  std::string categories = "codes", missing = "refuse", missing_values, transform = "none";
  bool standardize = false;
  int64_t window = 0, stride = 0;
  Like like;
  SplitOptions splits;

  void bind(OptionTable& table);
};

enum class Meaning { number, code, one_hot };

// A column among the features.
struct Feature {
  size_t column;
  Meaning meaning;
  std::vector<std::string> names;       // categories, sorted
  Notation notation = Notation::point;  // of numbers
  size_t width() const { return meaning == Meaning::one_hot ? names.size() : 1; }
};

struct LabelColumn {
  size_t column = 0;
  bool real = false;
  std::vector<std::string> names;  // of classes; empty if the numbers are the classes
  Notation notation = Notation::point;
};

struct Line {
  std::vector<double> values;  // features; NaN: missing
  double label = 0;
  std::string name{};            // of --id
  std::vector<double> before{};  // features of the line before it, for changes from line to line
};

class CsvPlan {
 public:
  // Reads all files once. Throws a usage Error for a column that does not exist, has no values or too many
  // categories, or cannot be read in one way. Logs what is not read as plain numbers. like: of --like, whose
  // columns and categories are taken.
  CsvPlan(const CsvOptions& options, TableFiles files, const std::optional<DataDescription>& like);
  const std::optional<LabelColumn>& label() const { return label_; }
  bool has_names() const { return id_.has_value(); }  // of lines
  const std::vector<Feature>& features() const { return features_; }
  const std::string& name_of(const Feature& feature) const { return columns_[feature.column].name; }
  std::vector<std::string> feature_names() const;
  // "4:3,7:2": the columns of one-hot features, as the first one and their number.
  std::string categories() const;
  // "0:whole,3:date": features that are whole numbers, dates or times (data/description.h).
  std::string number_forms() const;
  std::vector<bool> numeric() const;  // for each feature, whether it is a number and not a category

  // Reads all files and calls `take` for every row, with its lines and the split that the file's name gives.
  // Throws a usage Error that names the line.
  using Take = std::function<void(const std::deque<Line>& row, const std::string& split)>;
  void read(const Take& take) const;

 private:
  std::vector<size_t> taken_columns(const std::vector<std::string>& names) const;
  void take_features_of(const DataDescription& like, const std::vector<std::string>& names,
                        const ColumnNotations& notations);
  void add_category(const Feature& feature, const std::string& field, const TableReader& table,
                    std::vector<double>& values) const;
  Feature feature_of(size_t index, std::optional<Notation> notation) const;
  LabelColumn label_of(size_t index, std::optional<Notation> notation) const;
  void report() const;
  void read_file(const std::string& path, const Take& take) const;
  bool add_feature(const Feature& feature, const std::string& field, const TableReader& table,
                   std::vector<double>& values) const;
  std::optional<Line> parse(const std::vector<std::string>& fields, const TableReader& table) const;
  [[noreturn]] void refuse_missing(size_t column, bool numeric, const std::string& field,
                                   const TableReader& table) const;
  Line change(const Line& before, const Line& now, const TableReader& table) const;

  const CsvOptions& options_;
  TableFiles files_;
  std::vector<Column> columns_;
  std::vector<Feature> features_;
  std::optional<LabelColumn> label_;
  std::optional<size_t> id_;
};

}  // namespace elbo
