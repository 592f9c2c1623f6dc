// The location of a dataset's bytes in its HDF5 file. With it, rows are read without the HDF5 library, whose
// global lock prevents parallel reads.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/raw_file.h"
#include "elbo/hdf5/stored_type.h"

namespace elbo {

// A chunk, or all of a contiguous dataset.
struct StoredChunk {
  static constexpr uint64_t unallocated = ~uint64_t{0};
  uint64_t address =
      unallocated;           // in the file; unallocated: never written, so all elements are the fill value
  uint64_t size = 0;         // bytes in the file
  uint32_t filter_mask = 0;  // bit i: filter i was not applied
};

struct Storage {
  ElementType type;
  std::vector<int64_t> shape;       // of the dataset
  std::vector<int64_t> chunk;       // shape of a chunk; the dataset's shape if it is contiguous
  std::vector<Filter> filters;      // in the order in which a writer applies them
  std::vector<uint8_t> fill;        // one element
  std::vector<StoredChunk> chunks;  // in row-major order of the grid of chunks
  bool only_rows_grow = true;       // no dimension but the first can
  int64_t chunks_along(size_t dimension) const {
    return (shape[dimension] + chunk[dimension] - 1) / chunk[dimension];
  }
  std::vector<hsize_t> first_element(uint64_t number) const;  // of chunk `number`
  double bytes() const;          // of all elements, unfiltered; anything in a damaged file, hence a double
  uint64_t chunk_bytes() const;  // of a chunk, unfiltered
};

struct FoundStorage;

// A part of a virtual dataset.
struct Source {
  hdf5::Handle dataset;
  std::shared_ptr<const FoundStorage> found;  // of this dataset
  // Rows [first, first + rows) of the virtual dataset are this dataset's rows from source_first on. rows = 0:
  // the part does not consist of whole rows.
  int64_t first = 0, rows = 0, source_first = 0;
};

struct FoundStorage {
  std::shared_ptr<const RawFile> file;  // that holds the dataset
  // None if only the HDF5 library can read the dataset: external files, virtual datasets, other filters,
  // types and versions of layouts.
  std::optional<Storage> storage{};
  std::string why_not{};                 // the reason, if there is no storage
  std::string missing_filter{};          // name of a filter that the library does not have either
  std::vector<Source> sources{};         // of a virtual dataset: all open
  bool whole_rows = false;               // of a virtual dataset: each source gives whole rows, each row once
  std::vector<std::string> unwritten{};  // sentences about rows that read as the fill value
};

// Calls `make` on one of the processes that open a data set together, and returns its result on all of them.
// Reading an index of a million chunks takes a second, and a thousand processes would read it a thousand
// times.
using ComputeOnRoot = std::function<std::string(const std::function<std::string()>& make)>;
inline std::string compute_locally(const std::function<std::string()>& make) { return make(); }

// Finds the storage of a dataset in `file`. The chunk index is read through `compute_on_root`. Throws a usage
// Error if the file is damaged, or another file that the dataset is made of is missing or damaged.
FoundStorage find_storage(std::shared_ptr<const RawFile> file, const hdf5::Handle& dataset,
                          const ComputeOnRoot& compute_on_root);

}  // namespace elbo
