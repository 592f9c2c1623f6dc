// Reads rows of an HDF5 dataset, converted to one type.
#pragma once
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/raw_file.h"
#include "elbo/hdf5/storage.h"

namespace elbo {

class RowReader {
 public:
  virtual ~RowReader() = default;

  // Reads rows [first, first + count) into contiguous memory, in the reader's type. Thread-safe. Throws Error
  // that names file, dataset and rows.
  virtual void read(int64_t first, int64_t count, void* out) const = 0;

  // Whether a single row can be read without others: each row is contiguous in the file, and there are no
  // filters.
  virtual bool has_random_access() const = 0;

  // Throws Error if the file that holds the dataset was written to since it was opened. For virtual datasets,
  // read() does the same for the files of the rows that it reads.
  virtual void require_unchanged() const = 0;

  // How it reads, for messages: "directly", or "through the HDF5 library, because …".
  virtual std::string access_method() const = 0;
};

// type: float32, float64, int64 (integer datasets) or uint8 (datasets of unsigned bytes). Reads directly if
// `found`, of this dataset, has its storage, otherwise through the HDF5 library. Both give the same numbers.
std::unique_ptr<RowReader> make_row_reader(hdf5::Handle dataset, std::shared_ptr<const FoundStorage> found,
                                           torch::ScalarType type);

}  // namespace elbo
