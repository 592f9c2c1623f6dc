// Sentences for what HDF5 cannot open. Each is thrown directly after the call that failed, because it
// contains HDF5's reason.
#pragma once
#include <string>

#include "elbo/hdf5/hdf5.h"

namespace elbo::hdf5 {

// A file: missing permissions, not HDF5, open for writing elsewhere, not closed by its writer, of a newer
// HDF5, beyond the limit of open files, or damaged.
[[noreturn]] void cannot_open_file(const std::string& path);

// An object that exists: of a newer HDF5, or damaged.
[[noreturn]] void cannot_open_object(const Handle& location, const std::string& path);

// A link at `path` whose target cannot be reached: names the target and its file.
[[noreturn]] void cannot_follow_link(const Handle& location, const std::string& path);

// The limit of open files is reached at `path`.
[[noreturn]] void too_many_files(const std::string& path);

}  // namespace elbo::hdf5
