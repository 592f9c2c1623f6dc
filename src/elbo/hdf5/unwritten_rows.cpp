#include "elbo/hdf5/unwritten_rows.h"

#include <torch/types.h>

#include <algorithm>
#include <cstring>

#include "elbo/hdf5/check.h"

namespace elbo {
namespace {

using hdf5::check;
using hdf5::Handle;

// Rows whose chunks were never written. is_written: by the chunk's number in row-major order.
template <typename IsWritten>
UnwrittenRows unwritten_chunks(const Storage& storage, IsWritten&& is_written) {
  if (std::ranges::count(storage.shape, 0) > 0) return {};
  uint64_t chunks_of_rows = 1;
  for (size_t d = 1; d < storage.shape.size(); ++d)
    chunks_of_rows *= static_cast<uint64_t>(storage.chunks_along(d));
  UnwrittenRows unwritten;
  const auto groups = static_cast<uint64_t>(storage.chunks_along(0));
  for (uint64_t group = 0; group < groups; ++group) {
    bool all = true;
    for (uint64_t i = 0; i < chunks_of_rows && all; ++i) all = is_written(group * chunks_of_rows + i);
    const auto first = static_cast<int64_t>(group) * storage.chunk[0];
    if (!all) unwritten.add(first, std::min(first + storage.chunk[0], storage.shape[0]));
  }
  return unwritten;
}

}  // namespace

void UnwrittenRows::add(int64_t begin, int64_t end) {
  if (count == 0) first = begin;
  if (count == 0 || last + 1 == begin) last = end - 1;
  count += end - begin;
}

UnwrittenRows unwritten_rows(const Storage& storage) {
  return unwritten_chunks(
      storage, [&](uint64_t index) { return storage.chunks[index].address != StoredChunk::unallocated; });
}

UnwrittenRows unwritten_rows(const Handle& dataset, const hdf5::DatasetInfo& info) {
  H5D_space_status_t status = H5D_SPACE_STATUS_ALLOCATED;
  check(H5Dget_space_status(dataset.get(), &status), dataset.get(), "query its chunks");
  Storage grid;
  grid.shape = info.shape;
  grid.chunk = info.chunk;
  constexpr double most_chunks = 1 << 20;  // a query for each takes seconds
  double chunks = 1;
  for (size_t d = 0; d < grid.shape.size(); ++d) chunks *= static_cast<double>(grid.chunks_along(d));
  if (status == H5D_SPACE_STATUS_ALLOCATED || chunks > most_chunks) return {};
  return unwritten_chunks(grid, [&](uint64_t index) {
    hsize_t size = 0;
    return H5Dget_chunk_storage_size(dataset.get(), grid.first_element(index).data(), &size) >= 0 && size > 0;
  });
}

std::vector<std::string> unwritten_text(const Handle& dataset, const UnwrittenRows& unwritten,
                                        const char* why) {
  if (unwritten.count == 0) return {};
  double fill = 0;
  const std::vector<uint8_t> bytes = hdf5::fill_value(dataset, torch::kFloat64);
  std::memcpy(&fill, bytes.data(), sizeof fill);
  return {
      fmt::format("{}: {} of {} rows {}, whole or in part (the first: rows {} to {}), and read as the fill "
                  "value {:g}",
                  hdf5::name_of(dataset.get()), unwritten.count, hdf5::describe(dataset).shape.front(), why,
                  unwritten.first, unwritten.last, fill)};
}

}  // namespace elbo
