// What a data set says about its rows besides their numbers: the names of columns, and what leads from the
// numbers back to the units and texts of the file that was converted (docs/data_format.md).
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "elbo/data/vocabulary.h"
#include "elbo/hdf5/data_file.h"

namespace elbo {

// How recordings became rows (elbo convert audio).
struct SoundForm {
  std::string form;            // waveform | mu_law | log_mel; "": rows are not sound
  int64_t rate = 0;            // samples per second
  int64_t frame = 0, hop = 0;  // samples of a frame, and from one to the next
};

struct DataDescription {
  // Of the features of a row or of a step, or of the items of interactions; empty if there are none.
  std::vector<std::string> columns;
  std::map<std::string, std::vector<std::string>> categories;  // texts of the codes in a column
  std::vector<std::pair<int64_t, int64_t>> one_hot;            // first column and number of columns
  torch::Tensor mean{}, scale{};  // (features) float64: x = (table - mean) / scale
  // How the numbers of a column are written where they are not any real numbers: whole, date (days since
  // 1970-01-01), date_time, clock (hours).
  std::map<int64_t, std::string> number_forms;
  std::string change = "none";  // what numbers are: none | log_returns | differences, from line to line
  Vocabulary vocabulary{};      // empty if rows are not tokens
  SoundForm sound{};
  int64_t lowest_key = -1;  // MIDI number of the first feature of piano rolls; -1: rows are not such

  // The table's units of x (…, features) float64, without the change from line to line.
  torch::Tensor unstandardized(const torch::Tensor& x) const;
  // Whether a column holds numbers, not categories.
  std::vector<bool> numeric() const;
};

// Why numbers of a data set mean something else than those of another with rows of the same shape, as the
// end of a sentence about it: the first column, category, scale or token that differs; "" if none does. What
// only one of the two describes is not compared.
std::string difference_of(const DataDescription& data, const DataDescription& from);

// Throws a usage Error for parts that cannot be read.
DataDescription describe_data(const DataFile& file);

// Copies all of this from a data set to an open file, which has none of it, as datasets and attributes of the
// data format. columns: their names where the data set has none for them.
void copy_description(const DataFile& from, const hdf5::Handle& to,
                      const std::vector<std::string>& columns = {});

}  // namespace elbo
