// Datasets that cannot be rows, and what to do with them.
#pragma once
#include <string>

#include "elbo/hdf5/data_file.h"

namespace elbo {

// "holds complex numbers; expected real ones; in Python: …", to follow the path of the dataset. "" if it can
// be rows: numbers in two or more dimensions, or a table.
std::string why_no_rows(const DataFile& file, const std::string& path);

}  // namespace elbo
