// What a file holds where its layout is not the one of docs/data_format.md: the datasets that can be rows,
// and the sentence that says what to do where none can.
#pragma once
#include <string>
#include <vector>

#include "elbo/hdf5/data_file.h"

namespace elbo {

// The objects in the file, for messages.
std::string contents(const DataFile& file);

// Datasets in `group`, without those in groups inside it.
std::vector<std::string> datasets_in(const DataFile& file, const std::string& group);

// Absolute paths of the datasets in `group` and below that can be rows: numbers in two or more dimensions, or
// tables of a compound type, whose names are not those of labels.
std::vector<std::string> row_candidates(const DataFile& file, const std::string& group);

// The dataset of labels in `group`, by its name, that has `rows` of them; "" if there is none, or several.
std::string labels_in(const DataFile& file, const std::string& group, int64_t rows);

// Throws a usage Error: rows that are spread over groups or datasets, one for each sample or column, must be
// in one dataset, and how to bring them there. Returns if that is not what `group` holds.
void reject_scattered_rows(const DataFile& file, const std::string& group);

}  // namespace elbo
