// Expands data.path, a comma-separated list of files and glob patterns.
#pragma once
#include <string>
#include <vector>

namespace elbo {

// path: a file ("a.h5"), a pattern ("shards/*.h5"), or a comma-separated list of them. If a file with that
// exact name exists, it is that file. The result is in the order of the list; the matches of a pattern are in
// byte order of their names. Throws a usage Error if a pattern matches nothing or a file occurs twice.
std::vector<std::string> data_files(const std::string& path);

// The same list with absolute paths.
std::string absolute_data_path(const std::string& path);

}  // namespace elbo
