// What a dataset holds and what training on it costs, from samples: for people (elbo inspect).
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "elbo/hdf5/data_file.h"
#include "elbo/data/dataset.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {

struct ValueProfile {
  int64_t rows = 0;                          // that were looked at, spread over the dataset
  double lowest = 0, highest = 0, mean = 0;  // of the finite values
  int64_t not_finite = 0;                    // NaN or infinite
};

// None for what is not numbers, has no rows, or has rows of more than 32 MiB. Throws Error where rows cannot
// be read.
std::optional<ValueProfile> profile_values(const DataFile& file, const std::string& dataset);

// How an epoch in windows compares with a perfect shuffle that costs nothing.
struct ShuffleProfile {
  double bytes_read = 1;  // for each byte of a row used; chunks stay in memory for two windows
  double same_chunk = 1;  // pairs of rows of a batch from one chunk, by how many a perfect shuffle would have
};

// Follows the order of training for an epoch, or some windows of it. None where that would be more than 16
// million rows.
std::optional<ShuffleProfile> profile_shuffle(const RowSource& rows, int64_t shuffle_buffer_bytes, int64_t batch);

// The h5repack line that stores the dataset at `path` so that it is read quickly, "" where it is already.
// way: how its rows are read now (RowSource::way).
std::string repack_line(const std::string& file, const std::string& path, const hdf5::DatasetInfo& info,
                        const std::string& access_method);

}  // namespace elbo
