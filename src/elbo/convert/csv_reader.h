// Records of separated values (RFC 4180), and tables of them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "elbo/convert/byte_source.h"

namespace elbo {

// Reads records one by one. Quoted fields may contain separators, line ends and doubled quotes.
class CsvReader {
 public:
  // separator: one character, or the same one twice ("::").
  CsvReader(std::unique_ptr<ByteSource> source, const std::string& separator);
  // False at the end; empty lines are skipped. Throws a usage Error that names the line for unbalanced quotes
  // and for a field of more than 64 MiB.
  bool next(std::vector<std::string>& fields);
  int64_t line() const { return line_; }  // the first line of the last record, from 1
  const std::string& name() const { return source_->name(); }

 private:
  int get();  // -1 at the end
  int peek();
  bool read_field(std::string& field);  // true: a separator followed
  bool take_separator();
  void read_quoted(std::string& field);
  std::unique_ptr<ByteSource> source_;
  char separator_;
  bool doubled_;
  std::string buffer_;
  size_t place_ = 0;
  int64_t line_ = 0, next_line_ = 1;
};

// A file with named columns. Every record has as many fields as the first.
class TableReader {
 public:
  // header: "yes", "no" (columns are named 1, 2, …), or "auto": the first line is a header if its fields
  // differ and none is empty or a number.
  TableReader(const std::string& path, const std::string& separator, const std::string& header);
  const std::vector<std::string>& columns() const { return columns_; }
  // Throws a usage Error that names the line of a record with more or fewer fields.
  bool next(std::vector<std::string>& fields);
  int64_t line() const { return reader_.line(); }
  const std::string& name() const { return reader_.name(); }

 private:
  CsvReader reader_;
  std::vector<std::string> columns_, first_;
  int64_t first_line_ = 0;
};

// Parses a decimal number, finite or not, with optional blanks around it. False if the text is not one.
bool parse_real(const std::string& text, double& value);

// The index of the column with this name, or else with this number, from 1. Throws a usage Error for
// `option`.
size_t find_column(const std::vector<std::string>& columns, const std::string& name,
                   const std::string& option);

}  // namespace elbo
