// Records of separated values (RFC 4180), and the tables that are made of them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "elbo/convert/byte_source.h"

namespace elbo {

// Records one by one: fields may stand in quotes and hold separators, line ends and doubled quotes there.
class CsvReader {
 public:
  // separator: one character, or the same one twice ("::").
  CsvReader(std::unique_ptr<ByteSource> source, const std::string& separator);
  // False at the end; empty lines are passed over. Throws a usage Error naming the line for quotes that do
  // not match, and for a field of more than 64 MiB.
  bool next(std::vector<std::string>& fields);
  int64_t line() const { return line_; }  // where the last record begins, from 1
  const std::string& name() const { return source_->name(); }

 private:
  int get();  // -1 at the end
  int peek();
  bool read_field(std::string& field);  // true: a separator came behind it
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
  // header: "yes", "no" (the columns are called 1, 2, …), or "auto": the first line is one if its fields
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

// The number that a text is: decimal, finite or not, with blanks around it.
bool parse_real(const std::string& text, double& value);

// Where `name` stands among the columns; by number, from 1, if there is no such name. Throws a usage Error
// for the option that named it.
size_t find_column(const std::vector<std::string>& columns, const std::string& name,
                   const std::string& option);

}  // namespace elbo
