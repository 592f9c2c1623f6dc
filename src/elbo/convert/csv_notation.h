// How the columns of a table are read: as numbers, dates or categories.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/convert/csv_columns.h"

namespace elbo {

struct NotationOptions {
  std::string decimal = "auto", dates = "auto", categorical;
  void bind(OptionTable& table);
};

// The columns must outlive it.
class ColumnNotations {
 public:
  // Throws a usage Error for a categorical column that does not exist.
  ColumnNotations(const std::vector<Column>& columns, const NotationOptions& options,
                  const TableFiles& files);

  // The notation in which all fields of a column are numbers or dates; nothing for categories. Throws a usage
  // Error that names column, file and line if numbers or dates can be read in two ways, or are mixed with
  // other texts, or if texts are hardly ever the same and thus not categories.
  std::optional<Notation> of_feature(size_t column) const;
  // Whole numbers together with texts are classes.
  std::optional<Notation> of_label(size_t column) const;

 private:
  bool categorical(const Column& column) const;
  std::optional<Notation> uniform(const Column& column) const;
  std::optional<Notation> unclear(const Column& column) const;
  Notation permitted(Notation notation) const;
  void refuse_blanks(const Column& column) const;
  void refuse_mixed(const Column& column) const;

  const std::vector<Column>& columns_;
  NotationOptions options_;
  std::string separator_;
  bool header_is_given_;
  std::vector<const Column*> categorical_;
  bool sure_of_point_ = false, sure_of_comma_ = false;  // some column has numbers in this notation alone
};

struct ColumnReading {
  const Column* column;
  Notation notation;
};

// Logs which columns are not plain numbers, and, unless `exact`, what float32 does not keep of them.
void report_readings(const std::vector<ColumnReading>& readings, bool exact);

}  // namespace elbo
