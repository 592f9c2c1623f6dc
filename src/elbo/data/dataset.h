// A data set in one or many HDF5 files: which splits there are, what a row looks like, and its rows by
// number. Reads what interface docs/data_format.md describes, and any other file by naming its datasets.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/base/options.h"
#include "elbo/data/batch.h"
#include "elbo/hdf5/storage.h"
#include "elbo/data/vocabulary.h"

namespace elbo {

struct DataOptions {
  std::string path;   // HDF5 files (data/data_files.h)
  std::string stage;  // folder of this host to which they are copied first (data/stage.h); "": none
  std::string train = "train", validation = "validation",
              test = "test";  // groups, or for custom layouts ignored
  std::string x = "x",
              label = "label";  // dataset names inside a split's group, or absolute paths ("/images/raw")
  double validation_fraction =
      0;  // of the training rows, chosen by key, when the file has no validation split
  std::string binarize = "none";  // none | static | dynamic
  int64_t shuffle_buffer_bytes = 0;       // 0: default_shuffle_buffer_bytes()
  int64_t prefetch = 4;           // microbatches read ahead, per worker
  void bind(OptionTable& table);  // under data.*
};

// A power of two near a sixteenth of the memory that is free now: two windows are kept, by each rank of a
// host.
int64_t default_shuffle_buffer_bytes();

// Rows of one split. Thread-safe: HDF5 is entered by one thread at a time, rows in memory by any number.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual int64_t rows() const = 0;
  // Rows that are read from the file together: a chunk as stored, several small ones, or a piece of a file
  // without chunks.
  virtual int64_t rows_per_chunk() const = 0;
  virtual int64_t bytes_per_row() const = 0;  // in memory, of x
  // Fills x (n, …) float32 and label for the rows `ids` (any order, repeats allowed). Throws a usage Error
  // naming file, dataset and row for what is not finite or out of range, an Error for what cannot be read.
  // Chunks stay in memory, the least recently used ones leave: at most two windows (data.shuffle_buffer_bytes).
  virtual Batch read(const std::vector<int64_t>& ids) const = 0;
  // Reads every row once, so that what is wrong with any is thrown now.
  virtual void read_all() const = 0;
  virtual std::string access_method() const = 0;  // how rows are read, for people (data/row_reader.h)
};

// What the ranks that open a data set together do for one another.
struct Ranks {
  ComputeOnRoot once = compute_locally;
  // So many bytes that the ranks of this host share, or none; `prepare` is called with it by one of them. Not
  // set where there is one rank a host.
  std::function<std::shared_ptr<void>(int64_t bytes, const std::function<void(void*)>& prepare)> share{};
  double timeout = 600;  // seconds that a rank waits for another one to read a chunk
};

class Dataset {
 public:
  // Opens the file, finds the splits and checks that they agree. Throws usage Errors that name file, dataset,
  // what was expected and what to do.
  // ranks: all of them make the same calls.
  explicit Dataset(const DataOptions& options, Ranks ranks = {});
  ~Dataset();
  Dataset(Dataset&&) noexcept;
  const DataShape& shape() const;
  std::vector<std::string> splits() const;  // of train, validation, test: those that are there
  bool has(const std::string& split) const;
  const RowSource& split(
      const std::string& split) const;  // throws a usage Error that lists the splits there are
  int64_t shuffle_buffer_bytes() const;         // data.shuffle_buffer_bytes, or what it was taken for
  std::string fingerprint() const;      // SHA-256 over splits, shapes, types and a sample of rows
  Vocabulary vocabulary() const;        // of rows of tokens; empty for others
  std::string attribute(const std::string& name) const;  // root attribute as text, "" where it is missing

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
