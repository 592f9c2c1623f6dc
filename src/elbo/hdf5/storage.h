// Where the bytes of an HDF5 dataset lie in its file, so that rows can be read without the HDF5 library,
// whose one lock lets no two threads read at once.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/raw_file.h"

namespace elbo {

// One element as the file has it.
struct ElementType {
  enum class Kind : uint8_t { unsigned_integer, signed_integer, floating };
  Kind kind = Kind::unsigned_integer;
  int size = 1;              // bytes: integers 1, 2, 4, 8; floats 2, 4, 8
  bool swapped = false;      // the other byte order than this machine's
  bool brain_float = false;  // of two bytes: bfloat16, not IEEE's binary16
};

enum class Filter : uint8_t { deflate, shuffle, fletcher32, lzf };

// A chunk, or the whole of a contiguous dataset.
struct StoredPiece {
  static constexpr uint64_t nowhere = ~uint64_t{0};
  uint64_t address = nowhere;  // in the file; nowhere: never written, so it holds the fill value
  uint64_t size = 0;           // bytes in the file
  uint32_t skipped = 0;        // bit i: filter i was not applied to it
};

struct Storage {
  ElementType type;
  std::vector<int64_t> shape;       // of the dataset
  std::vector<int64_t> chunk;       // of a chunk; the dataset's shape where it is contiguous
  std::vector<Filter> filters;      // in the order of writing
  std::vector<uint8_t> fill;        // one element
  std::vector<StoredPiece> pieces;  // of all chunks of the grid, last dimension fastest
  int64_t chunks_along(size_t dimension) const {
    return (shape[dimension] + chunk[dimension] - 1) / chunk[dimension];
  }
  double bytes() const;             // of all elements, before any filter; a damaged file says any number
  uint64_t bytes_of_piece() const;  // before any filter
};

struct FoundStorage {
  // None for what only the library can read: external files, virtual datasets, other filters and types,
  // layouts that are older or newer than the ones known here.
  std::optional<Storage> storage;
  std::string why_not;
  std::string missing_filter{};  // the name of one that the library has not got either
};

// Gives all processes that open a data set together what `make` gives to one of them. An index of a million
// chunks takes a second to read, and a file system that serves a thousand processes as many times.
using ComputeOnRoot = std::function<std::string(const std::function<std::string()>& make)>;
inline std::string compute_locally(const std::function<std::string()>& make) { return make(); }

// `file` is the one that holds the dataset. Through `once` goes the index of its chunks.
FoundStorage find_storage(const RawFile& file, const hdf5::Handle& dataset, const ComputeOnRoot& once);

}  // namespace elbo
