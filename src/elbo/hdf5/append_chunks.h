// Writes deflated chunks on all cores: HDF5's filters compress in one thread, with a slower deflate than
// libdeflate.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/hdf5/hdf5.h"

namespace elbo::hdf5 {

// Like append(), for a dataset from create_rows(…, chunk_rows, level > 0) on a little-endian machine. If its
// rows so far fill whole chunks, the new ones are shuffled and deflated here, on up to `threads` threads, and
// stored as HDF5's filters would read them; otherwise append() stores them. Memory: a copy of `rows`.
void append_chunks(const Handle& dataset, const torch::Tensor& rows, int64_t chunk_rows, unsigned level,
                   int threads);

}  // namespace elbo::hdf5
