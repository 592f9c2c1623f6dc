// Files in folders that are named after splits and classes.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace elbo {

struct FolderFile {
  std::string path;
  std::string split;  // "" if no folder names a split
  std::string label;  // the first folder below that of the split; "" for files without such a folder
};

// The files below `folder` for which wanted(path) is true, sorted by path. Folders named train, validation
// and test are splits. Throws a usage Error if the folder does not exist or mixes split folders with others.
std::vector<FolderFile> files_of_splits(const std::string& folder,
                                        const std::function<bool(const std::string&)>& wanted);

// The labels, sorted; none if no file has a label. Throws a usage Error if only some have one.
std::vector<std::string> classes_of(const std::vector<FolderFile>& files, const std::string& folder);

}  // namespace elbo
