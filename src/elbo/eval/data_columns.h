// Rows of a data set as the columns of the table that was converted: names, units and texts.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "elbo/data/description.h"

namespace elbo {

struct DataColumn {
  std::string name;
  int64_t first = 0, count = 1;      // features: one, or as many as a one-hot category has
  std::vector<std::string> texts{};  // of categories; empty for numbers
  std::string form{};                // of numbers (data/description.h); "": any real numbers
  // What the features of a row or step say, from values[first] on; "" for a missing value. A mean of whole
  // numbers keeps its decimals.
  std::string text(const double* values, bool is_mean = false) const;
  // The same as a number; of a category its code.
  double number(const double* values, bool is_mean = false) const;
};

// Of rows with this number of features, if the data set names them; else none.
std::vector<DataColumn> columns_of(const DataDescription& description, int64_t features);

// x (n, …, steps, features) as stored → float64 in the units of the table. Changes from line to line are
// added up along the steps, from `before` (n, features), or else from 1 for log returns and from 0 for
// differences.
torch::Tensor in_units_of_table(const DataDescription& description, const torch::Tensor& x,
                                const torch::Tensor& before);

std::string number_text(double value);  // "" for NaN

}  // namespace elbo
