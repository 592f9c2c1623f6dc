// Files in folders whose names say split and class.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace elbo {

struct FolderFile {
  std::string path;
  std::string split;  // "" where no folder names it
  std::string label;  // the first folder below the split's; "" for files that lie in none
};

// The files below `folder` that are `wanted`, sorted by path. Folders named train, validation and test are
// splits if there is one. Throws usage Errors: no such folder, splits beside other folders.
std::vector<FolderFile> files_of_splits(const std::string& folder,
                                        const std::function<bool(const std::string&)>& wanted);

// The labels, sorted; none if the files lie in no folders. Throws a usage Error if only some do.
std::vector<std::string> classes_of(const std::vector<FolderFile>& files, const std::string& folder);

}  // namespace elbo
