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
// in one dataset, and how to bring them there. Returns if that is not what `group` holds, or, of a file with
// none or very many candidates for rows, one of the groups inside each other.
void reject_scattered_rows(const DataFile& file, const std::string& group);
void reject_scattered_rows(const DataFile& file, const std::vector<std::string>& candidates);

// Throws a usage Error if the candidates are the blocks of a frame of pandas, which has one for each type.
void reject_blocks_of_pandas(const DataFile& file, const std::vector<std::string>& candidates);

// Throws a usage Error for a file in which row_candidates() finds nothing: its largest dataset, and why it
// cannot be rows. Returns if it has none that looks like rows.
void reject_other_contents(const DataFile& file);

}  // namespace elbo
