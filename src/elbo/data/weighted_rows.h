// Rows that are sampled in proportion to their weights, by systematic sampling: an epoch of N positions
// divides the sum of all weights into N equal parts with one offset for the epoch, and each part stands for
// the row that its point falls on. So a row with the share w of all weights comes ⌊Nw⌋ or ⌈Nw⌉ times in an
// epoch, Nw times on average, and with equal weights every row comes once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/base/random.h"

namespace elbo {

class WeightedRows {
 public:
  // weights: of each row, at least 0 and finite, one of them above 0. Memory: 8 bytes a row.
  explicit WeightedRows(const std::vector<double>& weights);
  int64_t rows() const { return static_cast<int64_t>(ends_.size()); }
  // The row of part `part` (0 … rows - 1) of an epoch: not below that of the part before.
  int64_t row_of(int64_t part, Key epoch) const;
  std::string digest() const;  // SHA-256, of what row_of() depends on

 private:
  std::vector<double> ends_;  // of the rows' parts of [0, rows]: ascending
};

}  // namespace elbo
