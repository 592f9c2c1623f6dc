// Records of separated values (RFC 4180), and tables of them.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/convert/byte_source.h"

namespace elbo {

// Reads records one by one. Quoted fields may contain separators, line ends and doubled quotes.
class CsvReader {
 public:
  // separator: one character, or the same one twice ("::").
  CsvReader(std::unique_ptr<ByteSource> source, const std::string& separator);
  // False at the end; empty lines are skipped. Throws a usage Error that names the line for unbalanced
  // quotes, for a field of more than 64 MiB and for a NUL byte.
  bool next(std::vector<std::string>& fields);
  int64_t line() const { return line_; }  // the first line of the last record, from 1
  // The first line with bytes that are not UTF-8, from 1; 0: none yet. Its fields were read as Windows-1252,
  // which includes Latin-1.
  int64_t latin1_line() const { return latin1_line_; }
  const std::string& name() const { return source_->name(); }

 private:
  int get();  // -1 at the end
  int peek();
  bool read_field(std::string& field);  // true: a separator followed
  bool take_separator();
  void read_quoted(std::string& field);
  void require_no_return(const std::string& field) const;
  void require_short(const std::string& field) const;
  std::unique_ptr<ByteSource> source_;
  char separator_;
  bool doubled_;
  std::string buffer_;
  size_t place_ = 0;
  int64_t line_ = 0, next_line_ = 1, latin1_line_ = 0;
};

// A file with named columns. Every record has as many fields as the first.
class TableReader {
 public:
  // header: "yes", "no" (columns are named 1, 2, …), or "auto": the first line is a header if its fields
  // differ, none is a number, and only the first or last is empty. A column without a name has its number;
  // names that repeat are numbered: a, a.1.
  // A Parquet or Arrow file is read as the table with commas that it would be.
  TableReader(const std::string& path, const std::string& separator, const std::string& header);
  const std::vector<std::string>& columns() const { return columns_; }
  // Throws a usage Error that names the line of a record with more or fewer fields.
  bool next(std::vector<std::string>& fields);
  int64_t line() const { return reader_.line(); }
  void report_latin1() const;  // a warning if fields were not UTF-8
  void report_repeated() const;
  const std::string& name() const { return reader_.name(); }

 private:
  CsvReader reader_;
  std::vector<std::string> columns_, first_;
  std::string repeated_;  // "the second a is a.1", where names repeat
  int64_t first_line_ = 0;
};

// The separator with which the first lines of a table have the same number of fields, most of them numbers:
// a comma, semicolon, tab or vertical bar; a comma if there is none.
std::string find_separator(const std::string& path);

// Parses a decimal number, finite or not, with optional blanks around it. False if the text is not one.
bool parse_real(std::string_view text, double& value);

// The index of the column with this name, or else with this number, from 1. Throws a usage Error for
// `option`.
size_t find_column(const std::vector<std::string>& columns, const std::string& name,
                   const std::string& option);

}  // namespace elbo
