#include "elbo/hdf5/index_check.h"

#include <algorithm>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/hdf5/check.h"

namespace elbo {
namespace {

using hdf5::check;
using hdf5::checked;
using hdf5::Handle;

// Bytes before the file's base address. Some versions of the library do not include them in chunk addresses.
uint64_t user_block(const Handle& dataset) {
  const Handle file = checked(H5Iget_file_id(dataset.get()), H5Fclose, dataset.get(), "find its file");
  const Handle creation =
      checked(H5Fget_create_plist(file.get()), H5Pclose, dataset.get(), "read its file's properties");
  hsize_t size = 0;
  check(H5Pget_userblock(creation.get(), &size), dataset.get(), "read its file's user block");
  return size;
}

// Compares the number of chunks, and the first of them, with the library, which finds chunks by a linear
// search.
bool index_agrees(const Handle& dataset, const Storage& storage) {
  hsize_t count = 0;
  const Handle space = checked(H5Dget_space(dataset.get()), H5Sclose, dataset.get(), "read its shape");
  check(H5Dget_num_chunks(dataset.get(), space.get(), &count), dataset.get(), "count its chunks");
  const auto found = std::ranges::count_if(
      storage.chunks, [](const StoredChunk& chunk) { return chunk.address != StoredChunk::unallocated; });
  bool agrees = static_cast<hsize_t>(found) == count;
  const uint64_t block = user_block(dataset);
  for (hsize_t i = 0; agrees && i < std::min<hsize_t>(count, 4); ++i) {
    std::vector<hsize_t> first(storage.shape.size());
    unsigned filter_mask = 0;
    haddr_t address = 0;
    hsize_t size = 0;
    check(H5Dget_chunk_info(dataset.get(), space.get(), i, first.data(), &filter_mask, &address, &size),
          dataset.get(), "query a chunk");
    uint64_t index = 0;
    for (size_t d = 0; d < first.size(); ++d)
      index = index * static_cast<uint64_t>(storage.chunks_along(d)) +
              first[d] / static_cast<uint64_t>(storage.chunk[d]);
    const StoredChunk& chunk = storage.chunks[index];
    agrees = (chunk.address == address || chunk.address == address + block) && chunk.size == size &&
             chunk.filter_mask == filter_mask;
  }
  return agrees;
}

// Compares the stored bytes of some chunks with those that the library reads, which it finds quickly by their
// position.
bool samples_agree(const RawFile& file, const Handle& dataset, const Storage& storage) {
  constexpr uint64_t samples = 16;
  for (uint64_t i = 0; i < samples; ++i) {
    const uint64_t index = i * (storage.chunks.size() - 1) / (samples - 1);
    const StoredChunk& chunk = storage.chunks[index];
    const std::vector<hsize_t> first = storage.first_element(index);
    hsize_t size = 0;
    const bool allocated = H5Dget_chunk_storage_size(dataset.get(), first.data(), &size) >= 0 && size > 0;
    if (allocated != (chunk.address != StoredChunk::unallocated)) return false;
    if (!allocated) continue;
    if (size != chunk.size || !file.holds(chunk.address, size)) return false;
    std::vector<uint8_t> theirs(size), ours(size);
    uint32_t filter_mask = 0;
    check(H5Dread_chunk(dataset.get(), H5P_DEFAULT, first.data(), &filter_mask, theirs.data()), dataset.get(),
          "read a chunk");
    file.read(chunk.address, size, ours.data());
    if (filter_mask != chunk.filter_mask || theirs != ours) return false;
  }
  return true;
}

// For a compact dataset: compares all of its bytes with those that the library reads.
bool compact_data_agree(const RawFile& file, const Handle& dataset, const Storage& storage) {
  const Handle type = checked(H5Dget_type(dataset.get()), H5Tclose, dataset.get(), "read its type");
  std::vector<uint8_t> theirs(storage.chunk_bytes()), ours(theirs.size());
  check(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, theirs.data()), dataset.get(),
        "read its rows");
  file.read(storage.chunks.front().address, ours.size(), ours.data());
  return theirs == ours;
}

}  // namespace

bool agrees_with_library(const RawFile& file, const Handle& dataset, const Storage& storage, bool compact) {
  constexpr uint64_t few = 10'000;
  if (compact) return compact_data_agree(file, dataset, storage);
  if (storage.chunks.size() > few) return samples_agree(file, dataset, storage);
  if (!index_agrees(dataset, storage))
    usage_error("{}: its chunk index is inconsistent; the file is damaged", hdf5::name_of(dataset.get()));
  return true;
}

}  // namespace elbo
