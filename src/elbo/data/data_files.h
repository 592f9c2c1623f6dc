// The files that data.path names: one, those that a pattern matches, or a list of either.
#pragma once
#include <string>
#include <vector>

namespace elbo {

// path: a file ("a.h5"), a pattern ("shards/*.h5"), or several of them with commas between. A file of that
// very name goes before its meaning as a pattern or list. In the order of the list; of a pattern, in the
// order of the names' bytes. Throws a usage Error where a pattern matches nothing, or a file comes twice.
std::vector<std::string> data_files(const std::string& path);

// The same files, wherever it is read from.
std::string absolute_data_path(const std::string& path);

}  // namespace elbo
