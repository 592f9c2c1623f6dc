// What a first pass over tables finds out about their columns.
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
  bool whole = true;                       // all numbers are
  double least = 0, largest = 0, sum = 0;  // of the numbers; the sum: in training files
  int64_t summed = 0;
  std::set<std::string> values;  // as they are written, up to one more than most_values
  std::string first_text;        // and where it stands
  bool is_text() const { return texts > 0; }
  double mean() const { return summed == 0 ? 0 : sum / static_cast<double>(summed); }
};

constexpr size_t most_values = 1000;  // different texts of a column

// "", "NA", "NaN", "null", "None", "?" and the like.
bool is_missing(const std::string& text);

// How the files of a table are read.
struct TableFiles {
  std::vector<std::string> paths;
  std::string separator = ",";
  std::string header = "auto";
  TableReader open(const std::string& path) const { return {path, separator, header}; }
};

// Reads all files once. Throws usage Errors: columns that differ between files, numbers that are not finite.
std::vector<Column> survey(const TableFiles& files);

}  // namespace elbo
