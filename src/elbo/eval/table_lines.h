// Where the lines of a table of results go, field by field.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/data/arrow_table.h"
#include "elbo/eval/data_columns.h"

namespace elbo {

class TableLines {
 public:
  virtual ~TableLines() = default;
  virtual void begin(const std::vector<ArrowColumn>& columns) = 0;  // once, before all fields
  // The next field of a line.
  virtual void add(const std::string& text) = 0;
  virtual void add(int64_t number) = 0;
  virtual void add(double number) = 0;                                                 // NaN: a missing one
  virtual void add(const DataColumn& column, const double* values, bool is_mean) = 0;  // as column.text()
  virtual void end_line() = 0;
  virtual void finish() = 0;  // the file appears; without this call it does not
};

// The type of a column whose numbers are not written as texts.
ArrowColumn::Type type_of(const DataColumn& column, bool is_mean);

std::unique_ptr<TableLines> lines_of_text(const std::string& path, char separator);
// .parquet and .feather. Throws a usage Error where elbo was built without Arrow.
std::unique_ptr<TableLines> lines_of_arrow(const std::string& path);

}  // namespace elbo
