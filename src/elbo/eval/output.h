// Writes rows of data as images, text, HDF5 or CSV; the extension of the file decides.
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
  std::string out;     // the file to write
  bool force = false;  // replace an existing file
  void bind(OptionTable& table, const std::string& formats);
};

// Throw a usage Error unless --out names a file that may be written and has one of the extensions
// (check_output) or a format for rows of `shape` (check_rows_output). Call them before computing anything.
void check_output(const OutputOptions& options, const std::vector<std::string>& extensions);
void check_rows_output(const OutputOptions& options, const DataShape& shape);
bool writes_texts(const OutputOptions& options);  // .txt, which needs the vocabulary of the data set

// Names with rows (n, …); all have the same n.
using NamedRows = std::vector<std::pair<std::string, torch::Tensor>>;

// .png: a grid of `columns` images, with one line for each name in turn; of video one line for each row. .h5:
// one dataset for each name. .csv: one line for each row, with the values of all names. .txt: one line for
// each row of tokens, with tabs between names. The file appears whole or not at all.
// The rows may be on any device.
void write_rows(const OutputOptions& options, NamedRows rows, int64_t columns, const Vocabulary& vocabulary);

}  // namespace elbo
