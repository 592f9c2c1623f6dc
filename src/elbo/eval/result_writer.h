// Rows of results as files. Every command that writes rows gives them to one of these; the ending of --out
// chooses which (output.h). Used by one rank.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "elbo/data/batch.h"
#include "elbo/data/description.h"
#include "elbo/data/row_source.h"

namespace elbo {

// What a row of results consists of.
struct RowOutput {
  std::string name;            // x, reconstruction, z, score, …
  std::vector<int64_t> shape;  // for one row
  // A row of the data set, or several of them along the first dimension: it has the columns, units and texts
  // of the data set.
  bool is_data = false;
  bool is_mean = false;  // of p(x|z): whole numbers have decimals
};

// Whether any of the rows has a name.
bool have_names(const std::vector<RowIdentity>& identities);

struct ResultRows {
  std::vector<torch::Tensor> values;      // of each output (n, …shape) float32, on the CPU
  std::vector<RowIdentity> identities{};  // of the rows of a data set; empty for rows that are new
  torch::Tensor label{};                  // (n) int64 or (n, …) float32; undefined if there are none
  // (n, features) float64 in the units of the table: the line before each row, for data that are changes from
  // line to line; undefined if it is not known.
  torch::Tensor before{};
  torch::Tensor length{};  // (n) int64, steps of sequences; undefined if all are full
  int64_t rows() const { return values.front().size(0); }
};

class ResultWriter {
 public:
  virtual ~ResultWriter() = default;
  virtual void append(const ResultRows& rows) = 0;
  virtual void finish() = 0;  // the file appears; without this call it does not
};

// A file of results and what its rows mean.
struct ResultFile {
  std::string path;
  std::vector<RowOutput> outputs;
  size_t main = 0;              // the output that forms with room for a single one hold
  bool several_splits = false;  // rows are of more than one split
  int64_t columns = 1;          // images in a line of a grid
  double byte = 255;            // the value of a stored byte of 255: 1 where bytes are scaled to [0, 1]
  DataShape shape{};            // of the data set
  DataDescription description{};
  // A file that has this description, for copies; "": there is none.
  std::string description_file{};
  std::vector<std::string> class_names() const;
};

// One for each form. The file is written when finish() is called, or as rows come.
std::unique_ptr<ResultWriter> hdf5_writer(ResultFile file);     // .h5
std::unique_ptr<ResultWriter> anndata_writer(ResultFile file);  // .h5ad
std::unique_ptr<ResultWriter> table_writer(ResultFile file);    // .csv, .tsv
std::unique_ptr<ResultWriter> arrow_writer(ResultFile file);    // .parquet, .feather
std::unique_ptr<ResultWriter> array_writer(ResultFile file);    // .npy, .npz
std::unique_ptr<ResultWriter> picture_writer(ResultFile file);  // .png, .gif
std::unique_ptr<ResultWriter> text_writer(ResultFile file);     // .txt, .smi
std::unique_ptr<ResultWriter> sound_writer(ResultFile file);    // .wav
std::unique_ptr<ResultWriter> music_writer(ResultFile file);    // .mid, .json

// Keeps all rows until the last one is there.
class CollectingWriter : public ResultWriter {
 public:
  void append(const ResultRows& rows) override { parts_.push_back(rows); }
  void finish() override { write(joined()); }

 protected:
  explicit CollectingWriter(ResultFile file) : file_(std::move(file)) {}
  const ResultFile& file() const { return file_; }

 private:
  virtual void write(const ResultRows& all) const = 0;
  ResultRows joined() const;
  ResultFile file_;
  std::vector<ResultRows> parts_;
};

}  // namespace elbo
