// The chunk index of an HDF5 dataset, read from the file's own structures: before version 1.14 the library
// has no call that lists all chunks in less than quadratic time.
//
// HDF5 File Format Specification 3.0: object headers (IV.A.1), data layout message (IV.A.2.i), version 1
// B-trees (III.A.1), fixed arrays (VII.C), extensible arrays (VII.D).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "elbo/hdf5/raw_file.h"
#include "elbo/hdf5/storage.h"

namespace elbo {

// The pieces of `storage`, whose other members are known. header: address of the dataset's object header,
// relative to the file's base address. None where the structures are of a kind or in a state that is not
// known here; `why_not` says which.
std::optional<std::vector<StoredPiece>> read_chunk_index(const RawFile& file, uint64_t header,
                                                         const Storage& storage, std::string& why_not);

}  // namespace elbo
