// The rows of one split by number, wherever they are stored: in one dataset (stored_split.h), as sparse rows
// (sparse_rows.h), in many files (joined_rows.h), or as a part of another source (holdout.h).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/data/batch.h"

namespace elbo {

// Which row of the user's files it is.
struct RowIdentity {
  std::string split;  // train, validation or test: where the row is stored, before any is held out
  int64_t row = 0;    // its number in the datasets of that split, counted over all files
  std::string name;   // "" if the file has no names
};

// The rows of a split. Thread-safe.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual int64_t rows() const = 0;
  // Rows that are read together: a stored chunk, several small ones, or a range of a dataset without chunks.
  virtual int64_t rows_per_chunk() const = 0;
  virtual int64_t bytes_per_row() const = 0;  // in memory, of x
  // Reads the rows `ids` (any order, duplicates allowed) as a batch. Throws a usage Error that names file,
  // dataset and row for a value that is not finite, and an Error for a read error. Keeps
  // chunks in an LRU cache of two shuffle buffers (data.shuffle_buffer_bytes).
  virtual Batch read(const std::vector<int64_t>& ids) const = 0;
  // Reads and validates all rows.
  virtual void read_all() const = 0;
  virtual std::string access_method() const = 0;  // see RowReader::access_method()
  // File, row and dataset of a row, for messages.
  virtual std::string place_of(int64_t id) const { return "row " + std::to_string(id); }
  virtual RowIdentity identity(int64_t id) const { return {.split = "", .row = id, .name = ""}; }
};

}  // namespace elbo
