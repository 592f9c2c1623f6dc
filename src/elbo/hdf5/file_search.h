// Where the HDF5 library looks for the files that external links and virtual datasets name.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace elbo::hdf5 {

// Environment variables with further folders, separated by colons.
constexpr const char* link_folders = "HDF5_EXT_PREFIX";
constexpr const char* source_folders = "HDF5_VDS_PREFIX";

// The paths at which the library looks for the file `name` that the file `holder` names, in its order.
std::vector<std::string> candidates(const std::string& holder, const std::string& name, const char* variable);

// The first of them that exists.
std::optional<std::string> find_file(const std::string& holder, const std::string& name,
                                     const char* variable);

// The path of a file that holds rows of a dataset in the file `holder` (H5Pset_external).
std::string external_file(const std::string& holder, const std::string& name);

}  // namespace elbo::hdf5
