// Estimates from samples for elbo inspect: the values of a dataset, and the cost of shuffling it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "elbo/data/missing_values.h"
#include "elbo/data/row_source.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {

struct ValueProfile {
  int64_t rows = 0;                          // sampled, spread over the dataset
  double lowest = 0, highest = 0, mean = 0;  // of the finite, observed values
  int64_t not_finite = 0;                    // number of infinite values
  // NaN, and what attributes declare missing (data/packed_values.h): by column of a table, else in all.
  std::vector<ColumnCount> missing{};
};

// None if the dataset is not numeric, has no rows, or has rows of more than 32 MiB. Throws Error if rows
// cannot be read.
std::optional<ValueProfile> profile_values(const DataFile& file, const std::string& dataset);

// Shuffling in windows compared with a full shuffle in memory, for which both numbers are 1.
struct ShuffleProfile {
  double bytes_read = 1;  // bytes read per byte used, with a cache of two shuffle buffers
  double same_chunk = 1;  // pairs of rows in a batch that are from the same chunk, relative to a full shuffle
};

// Simulates an epoch of the sampler, or a few windows of it. None if that would take more than 16 million
// rows.
std::optional<ShuffleProfile> profile_shuffle(const RowSource& rows, int64_t shuffle_buffer_bytes,
                                              int64_t batch);

// The h5repack command that rewrites the dataset at `path` with a layout that is fast to read; "" if it
// already has one. access_method: of its rows now (RowSource::access_method()).
std::string repack_line(const std::string& file, const std::string& path, const hdf5::DatasetInfo& info,
                        const std::string& access_method);

}  // namespace elbo
