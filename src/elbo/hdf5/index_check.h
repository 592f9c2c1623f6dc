// Compares an index of chunks that was read directly with the HDF5 library.
#pragma once
#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/raw_file.h"
#include "elbo/hdf5/storage.h"

namespace elbo {

// Whether the library finds the same bytes as `storage`. compact: the data are in the layout message. Throws
// a usage Error if the complete index of few chunks differs: the file is damaged, and the library would read
// beyond its chunks. If samples of an index of many chunks differ, the index may be of an unsupported kind.
bool agrees_with_library(const RawFile& file, const hdf5::Handle& dataset, const Storage& storage,
                         bool compact);

}  // namespace elbo
