// Rows of one HDF5 dataset, converted to one type.
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

  // Rows [first, first + count), contiguous, in the type that the reader was made for. Any number of threads
  // at once. Throws Error that names file, dataset and rows.
  virtual void read(int64_t first, int64_t count, void* out) const = 0;

  // Whether a single row costs no more than its own bytes: it lies in one piece that no filter changed.
  virtual bool rows_lie_apart() const = 0;

  // How it reads, for people: "directly", or "through the HDF5 library, because …".
  virtual std::string access_method() const = 0;
};

// type: float32, int64 where the dataset holds integers, or uint8 where it holds unsigned bytes. Reads
// without the HDF5 library where that is safe (`found`, of this dataset), otherwise through it. Both give the
// same numbers.
std::unique_ptr<RowReader> make_row_reader(std::shared_ptr<const RawFile> file, hdf5::Handle dataset,
                                           std::shared_ptr<const FoundStorage> found, torch::ScalarType type);

}  // namespace elbo
