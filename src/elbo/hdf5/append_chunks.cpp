#include "elbo/hdf5/append_chunks.h"

#include <libdeflate.h>
#include <torch/types.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "elbo/base/parallel_for.h"
#include "elbo/hdf5/check.h"
#include "elbo/hdf5/interleave.h"

namespace elbo::hdf5 {
namespace {

struct FreeCompressor {
  void operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }
};

// Shuffle, then deflate, of one chunk of elements of `item` bytes.
std::vector<uint8_t> compressed(const std::vector<uint8_t>& chunk, size_t item, unsigned level) {
  std::vector<uint8_t> planes(chunk.size());
  interleave(chunk.data(), item, chunk.size() / item, planes.data());  // the inverse of the inverse
  const std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor(
      libdeflate_alloc_compressor(static_cast<int>(level)));
  if (!compressor) fail("there is no memory to compress a chunk of {} bytes", chunk.size());
  std::vector<uint8_t> bytes(libdeflate_zlib_compress_bound(compressor.get(), planes.size()));
  bytes.resize(
      libdeflate_zlib_compress(compressor.get(), planes.data(), planes.size(), bytes.data(), bytes.size()));
  return bytes;
}

}  // namespace

void append_chunks(const Handle& dataset, const torch::Tensor& rows, int64_t chunk_rows, unsigned level,
                   int threads) {
  const int64_t before = describe(dataset).shape.front(), count = rows.size(0);
  if (before % chunk_rows != 0 || rows.numel() == 0) return append(dataset, rows);
  const auto row_bytes = static_cast<size_t>(static_cast<int64_t>(rows.nbytes()) / count);
  const auto* source = static_cast<const uint8_t*>(rows.const_data_ptr());
  const int64_t chunks = (count + chunk_rows - 1) / chunk_rows;
  std::vector<std::vector<uint8_t>> stored(static_cast<size_t>(chunks));
  parallel_for(chunks, threads, [&](int64_t chunk) {
    const int64_t first = chunk * chunk_rows, size = std::min(chunk_rows, count - first);
    // The last chunk may have fewer rows, but is stored as a whole one.
    std::vector<uint8_t> bytes(static_cast<size_t>(chunk_rows) * row_bytes, 0);
    std::memcpy(bytes.data(), source + static_cast<size_t>(first) * row_bytes,
                static_cast<size_t>(size) * row_bytes);
    stored[static_cast<size_t>(chunk)] = compressed(bytes, static_cast<size_t>(rows.element_size()), level);
  });

  const auto guard = lock();
  std::vector<hsize_t> sizes(rows.sizes().begin(), rows.sizes().end());
  sizes.front() += static_cast<hsize_t>(before);
  check(H5Dset_extent(dataset.get(), sizes.data()), dataset.get(), "extend it");
  std::vector<hsize_t> place(sizes.size(), 0);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::vector<uint8_t>& bytes = stored[static_cast<size_t>(chunk)];
    const int64_t first = before + chunk * chunk_rows;
    place.front() = static_cast<hsize_t>(first);
    check(H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 0, place.data(), bytes.size(), bytes.data()),
          dataset.get(), "write a chunk");
  }
}

}  // namespace elbo::hdf5
