// The one way in which commands write rows: computed by all ranks, with numbers, names, labels and units, in
// the form that the ending of --out names.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "elbo/commands/saved_run_command.h"
#include "elbo/data/row_source.h"
#include "elbo/eval/output.h"
#include "elbo/eval/result_writer.h"
#include "elbo/models/model.h"

namespace elbo {

struct RowsOut {
  std::vector<RowOutput> outputs{};
  int64_t rows = 0;
  size_t main = 0;      // the output that forms with room for a single one hold
  int64_t columns = 0;  // images in a line of a grid; 0: 16
  // The rows of the data set that these are, by their place: numbers, names, labels and lengths are those of
  // `source`. Null: new rows.
  const RowSource* source = nullptr;
  std::vector<int64_t> places{};          // of the rows in `source`; empty: the first ones
  std::vector<RowIdentity> identities{};  // without a source: of rows that come from a file of codes
  torch::Tensor label{};                  // (rows, …): in place of the labels of `source`
  bool from_their_beginning = true;       // results begin where the rows of the source do
  bool whole_rows = false;                // results have no padding, whatever the length of the source's rows
  std::vector<std::string> already_in_units{};    // outputs that need no inverse of the model's transform
  std::function<void(const ResultRows&)> seen{};  // called on rank 0 with the rows that are written, in order
};

// The outputs (b, …shape) of rows first … end-1, which are one microbatch, as the model gives them:
// write_rows() undoes its transform. Called by several workers at once, each with its own replica of the
// model.
using ModelFunction =
    std::function<std::vector<torch::Tensor>(Model& model, int64_t microbatch, int64_t first, int64_t end)>;

// Collective. Throws a usage Error where --out cannot hold these rows, before anything is computed.
void write_rows(const OutputOptions& options, const RunInUse& used, const std::string& threads,
                const RowsOut& rows, const ModelFunction& function);

// The same in two parts, for what has to be computed before the rows.
class RowsWriter {
 public:
  RowsWriter(const OutputOptions& options, const RunInUse& used, RowsOut rows);  // checks --out
  ~RowsWriter();
  RowsWriter(const RowsWriter&) = delete;
  RowsWriter& operator=(const RowsWriter&) = delete;
  void write(const std::string& threads, const ModelFunction& function);

 private:
  struct File;
  const OutputOptions& options_;
  const RunInUse& used_;
  RowsOut rows_;
  std::unique_ptr<File> file_;  // on rank 0
};

// Whether results are in the units of the data: all are but images of bytes, which are in [0, 1], and .png
// and .gif, which need that.
bool writes_in_units(const OutputOptions& options, const SavedRun& run);

// How many rows, as an option: a number from the beginning of the split, or all; auto: all, for .png and .gif
// `images`.
void bind_rows_asked(OptionTable& table, std::string& n, int64_t images);
int64_t rows_asked(const std::string& n, int64_t images, const OutputOptions& options,
                   const RowSource& source);

// How elements are chosen, as options.
struct DrawOptions {
  std::string elements = "auto";
  double temperature = 1;
  int64_t seed = 0;
  // otherwise: what auto means.
  void bind(OptionTable& table, const std::string& otherwise);
  // Throws a usage Error for a temperature that would have no effect.
  Elements how(Elements otherwise) const;
  Key key(std::string_view purpose) const { return Key(static_cast<uint64_t>(seed)).with(purpose); }
};

// Rows decoded from codes z (rows, latent) on the device, which all ranks have, with labels as in a Batch.
void write_decoded(const OutputOptions& options, const RunInUse& used, const std::string& threads,
                   RowsOut rows, const torch::Tensor& z, const torch::Tensor& label, const DrawOptions& draw,
                   Elements otherwise);

}  // namespace elbo
