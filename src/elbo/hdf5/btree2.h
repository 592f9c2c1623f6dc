// Version 2 B-trees that index the chunks of datasets which can grow along several dimensions (HDF5 File
// Format Specification 3.0, III.A.2, records of types 10 and 11).
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "elbo/hdf5/file_structure.h"

namespace elbo {

struct ChunkRecord {
  uint64_t address = 0;                 // relative to the file's base address
  uint64_t size = 0;                    // bytes in the file; 0: of an unfiltered chunk
  uint64_t filter_mask = 0;             // of a filtered chunk
  std::vector<uint64_t> coordinates{};  // in chunks
};

// Calls `visit` for each chunk of the tree with the header at address `header`. rank: of the dataset. Throws
// Unreadable.
void read_btree2(const RawFile& file, const Superblock& super, uint64_t header, size_t rank, bool filtered,
                 const std::function<void(const ChunkRecord&)>& visit);

}  // namespace elbo
