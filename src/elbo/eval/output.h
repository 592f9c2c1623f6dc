// Rows of data for people and programs: pictures, texts, HDF5 or CSV, as the file's name says.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/data/batch.h"
#include "elbo/data/vocabulary.h"

namespace elbo {

struct OutputOptions {
  std::string out;     // the file
  bool force = false;  // it may replace one that is there
  void bind(OptionTable& table, const std::string& formats);
};

// Throws a usage Error unless --out names a file that may be written and, where `shape` is given, rows of
// that shape can be written in its format. Called before anything is computed.
void check_output(const OutputOptions& options, const std::vector<std::string>& extensions);
void check_rows_output(const OutputOptions& options, const DataShape& shape);
bool writes_texts(const OutputOptions& options);  // which needs the data set's vocabulary

// A name and rows (n, …): what the command made, side by side.
using NamedRows = std::vector<std::pair<std::string, torch::Tensor>>;

// .png: a grid of `columns` images, a line of it for each name in turn; of video a line for each row; .h5: a
// dataset for each name; .csv: a line for each row, all names' values behind one another; .txt: a line for
// each row of tokens, with tabs between names.
void write_rows(const OutputOptions& options, const NamedRows& rows, int64_t columns,
                const Vocabulary& vocabulary);

}  // namespace elbo
