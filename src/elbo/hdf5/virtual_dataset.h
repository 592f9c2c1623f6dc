// The datasets that a virtual dataset is made of. The HDF5 library reads fill values, without an error, for
// those that it cannot open.
#pragma once
#include <functional>
#include <vector>

#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/storage.h"
#include "elbo/hdf5/unwritten_rows.h"

namespace elbo {

struct VirtualParts {
  std::vector<Source> sources;
  bool whole_rows = true;   // each source gives whole rows, each row once
  UnwrittenRows uncovered;  // rows that no source covers
};

// Opens all sources. find: finds the storage of a source. Throws a usage Error that names the file or dataset
// that is missing, or too small.
VirtualParts open_virtual_dataset(const hdf5::Handle& dataset,
                                  const std::function<FoundStorage(const hdf5::Handle&)>& find);

}  // namespace elbo
