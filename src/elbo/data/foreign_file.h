// Files and folders that are data in another format than HDF5: what they are, and how to train on them.
#pragma once
#include <string>

namespace elbo {

// "is a table of comma-separated values; elbo convert csv a.csv --out=a.h5, then elbo train a.h5", by the
// name and the first bytes. "" if it is HDF5, does not exist, or is of no known format.
std::string foreign_file(const std::string& path);

// Of a folder: of images, recordings or HDF5 files, by the names in it.
std::string foreign_folder(const std::string& path);

}  // namespace elbo
