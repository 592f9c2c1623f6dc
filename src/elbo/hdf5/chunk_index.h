// Reads the chunk index of an HDF5 dataset from the file. Before version 1.14, the HDF5 library can list all
// chunks only in quadratic time.
//
// HDF5 File Format Specification 3.0: object headers (IV.A.1), data layout message (IV.A.2.i), version 1
// B-trees (III.A.1), version 2 B-trees (btree2.h), fixed arrays (VII.C), extensible arrays (VII.D).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "elbo/hdf5/raw_file.h"
#include "elbo/hdf5/storage.h"

namespace elbo {

// Returns the chunks of `storage`, whose other members are set. header: address of the dataset's object
// header, relative to the file's base address. Returns nothing, and the reason in `why_not`, if a structure
// is unsupported or invalid.
std::optional<std::vector<StoredChunk>> read_chunk_index(const RawFile& file, uint64_t header,
                                                         const Storage& storage, std::string& why_not);

}  // namespace elbo
