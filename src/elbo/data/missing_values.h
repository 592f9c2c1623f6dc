// How many values of a data set are missing, and in which columns.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace elbo {

// Of a column of a table, a feature of a sequence, or a channel of images.
struct ColumnCount {
  int64_t values = 0, missing = 0;
};

// "120 of 1000 values are missing (12 %), most in columns 'age' (40 %), 'height' (2 %)". names: of the
// columns; empty: they have numbers, from 0.
std::string describe_missing(const std::vector<ColumnCount>& columns,
                             const std::vector<std::string>& names = {});

// The name of a column in messages: 'age', or its number.
std::string column_name(size_t column, const std::vector<std::string>& names);

}  // namespace elbo
