// Rows of a dataset that were never written, whole or in part, and read as the fill value.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/hdf5/hdf5.h"
#include "elbo/hdf5/storage.h"

namespace elbo {

struct UnwrittenRows {
  int64_t count = 0, first = 0, last = 0;  // first to last: the first range of them
  void add(int64_t begin, int64_t end);    // rows [begin, end), after those that were added before
};

// Those of a dataset whose storage is known.
UnwrittenRows unwritten_rows(const Storage& storage);

// Those of a chunked dataset that only the library reads. None if it has more chunks than can be queried.
UnwrittenRows unwritten_rows(const hdf5::Handle& dataset, const hdf5::DatasetInfo& info);

// A sentence that counts them and names the fill value; none if all rows were written. why: "were never
// written".
std::vector<std::string> unwritten_text(const hdf5::Handle& dataset, const UnwrittenRows& unwritten,
                                        const char* why);

}  // namespace elbo
