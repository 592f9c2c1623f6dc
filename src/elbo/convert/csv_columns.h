// Statistics of the columns of tables, from a first pass over the files.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "elbo/convert/csv_reader.h"

namespace elbo {

struct Column {
  std::string name;
  int64_t numbers = 0, texts = 0, missing = 0;
  bool whole = true;  // all numbers are integers
  double least = 0, largest = 0;
  double sum = 0;  // over training files
  int64_t summed = 0;
  std::set<std::string> values;  // different values as written, at most most_values + 1 of them
  std::string first_text;        // and its file and line
  bool is_text() const { return texts > 0; }
  double mean() const { return summed == 0 ? 0 : sum / static_cast<double>(summed); }
};

constexpr size_t most_values = 1000;  // of different texts in a column

// Whether the field is "", "NA", "NaN", "null", "None", "?" or a similar word.
bool is_missing(const std::string& text);

// The files of a table and their format.
struct TableFiles {
  std::vector<std::string> paths;
  std::string separator = ",";
  std::string header = "auto";
  TableReader open(const std::string& path) const { return {path, separator, header}; }
};

// Reads all files once. Throws a usage Error if columns differ between files or a number is not finite.
std::vector<Column> scan_columns(const TableFiles& files);

}  // namespace elbo
