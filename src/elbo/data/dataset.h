// A data set in one or more HDF5 files: its splits, the shape of its rows, and access to rows by number.
// Reads the layout of docs/data_format.md, and any other layout if its datasets are named.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/data/batch.h"
#include "elbo/data/data_options.h"
#include "elbo/data/description.h"
#include "elbo/data/row_source.h"
#include "elbo/data/transformed_rows.h"
#include "elbo/data/vocabulary.h"
#include "elbo/hdf5/storage.h"

namespace elbo {

// Cooperation of the ranks that open a data set together.
struct Ranks {
  ComputeOnRoot compute_on_root = compute_locally;
  // Allocates memory shared by the ranks of this host, or returns null; one of them calls `prepare` on it
  // first. Empty if there is one rank per host.
  std::function<std::shared_ptr<void>(int64_t bytes, const std::function<void(void*)>& prepare)> share{};
  double timeout = 600;  // seconds that a rank waits for another one to read a chunk
};

class Dataset {
 public:
  // Opens the files, finds the splits and checks that they agree. Throws a usage Error that names file,
  // dataset, what was expected and what to do. ranks: all of them make the same calls.
  explicit Dataset(const DataOptions& options, Ranks ranks = {});
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  const DataShape& shape() const;
  // What follows from the transform of the rows (run/normalization.h), which is decided after a look at them:
  // whether x is in [0, 1] then; and the transform itself, which split() applies from then on, with a rule
  // for its results.
  void set_in_unit_interval(bool in_unit_interval);
  void set_transform(const Transform& transform, const ValueRule& rule);
  std::vector<std::string> splits() const;  // those of train, validation, test that exist
  bool has(const std::string& split) const;
  // Throws a usage Error if it does not exist. "all": the rows of train, validation and test one after
  // another, in the order of the files, with none held out; with labels if all of them have some.
  const RowSource& split(const std::string& split) const;
  // What was taken as meant, a sentence each: names of splits, the order of dimensions, forms of labels.
  const std::vector<std::string>& notes() const;
  // The same rows without the transform of set_transform().
  const RowSource& stored_split(const std::string& split) const;
  // Throws a usage Error unless each row of the split, or of "all", has a label: a class that the training
  // split has, or finite values. For models that use labels; others train without.
  void require_labels(const std::string& split) const;
  int64_t shuffle_buffer_bytes() const;  // data.shuffle_buffer_bytes; its default if that is 0
  std::string fingerprint() const;       // SHA-256 over splits, shapes, types and a sample of rows
  Vocabulary vocabulary() const;         // empty if x does not hold tokens
  DataDescription description() const;   // of the first file
  // Writes the description to a new HDF5 file, which replaces one of that name.
  void save_description(const std::string& path) const;
  std::vector<std::string> feature_names() const;  // of a table's columns, /features; empty if there are none
  // Sentences about rows that were never written, or that no source of a virtual dataset has.
  std::vector<std::string> unwritten_rows() const;
  std::string attribute(const std::string& name) const;  // root attribute of type string; "" if missing

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
