// Statistics of the columns of tables, from a first pass over the files.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "elbo/convert/csv_reader.h"
#include "elbo/convert/csv_values.h"

namespace elbo {

// A field and where it is.
struct Field {
  std::string text, file;
  int64_t line = 0;  // from 1; 0: there is none
  explicit operator bool() const { return line > 0; }
  std::string place() const;  // "'4,87' in a.csv, line 3"
};

// The values of a column, read in one notation.
struct Statistics {
  int64_t count = 0;
  bool whole = true;  // all are integers
  double least = 0, largest = 0;
  double sum = 0;  // over training files
  int64_t summed = 0;
  Field other;  // the first field that is not in this notation
  double mean() const { return summed == 0 ? 0 : sum / static_cast<double>(summed); }
};

struct Column {
  std::string name;
  bool named = true;          // by the file: otherwise the name is its number
  int64_t fields = 0;         // with a value
  int64_t missing = 0;        // is_missing(), or one of TableFiles::missing_values
  int64_t missing_words = 0;  // missing among numbers, but a text among texts: "n.d."
  Field first;
  std::array<Statistics, all_notations.size()> read;
  Field not_plain;               // the first that is not a number such as 1234.5
  Field leading_zero;            // the first such as 00501: a code, perhaps
  Field unclear_number;          // the first that has different values with point and comma
  Field unclear_date;            // and with the two orders of dates
  bool counts_lines = true;      // 0, 1, 2 … or 1, 2, 3 …
  int64_t marked = 0;            // numbers with a mark or unit
  Field first_marked;            // the first of them
  std::string marks;             // its mark
  bool same_marks = true;        // which all have
  std::set<std::string> values;  // different texts, at most most_values + 1 of them
  const Statistics& in(Notation notation) const { return read.at(static_cast<size_t>(notation)); }
  bool all_in(Notation notation) const { return fields > 0 && in(notation).count == fields; }
};

constexpr size_t most_values = 1000;  // of different texts in a column

// The files of a table and their format.
struct TableFiles {
  std::vector<std::string> paths;
  std::string separator = ",";
  std::string header = "auto";
  std::vector<std::string> missing_values;  // further texts for missing values
  TableReader open(const std::string& path) const { return {path, separator, header}; }
  bool is_missing_here(const std::string& field) const;
};

// Reads all files once. Throws a usage Error if columns differ between files or a number is not finite.
std::vector<Column> scan_columns(const TableFiles& files);

}  // namespace elbo
