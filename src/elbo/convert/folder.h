// Files in folders that are named after splits and classes.
#pragma once
#include <string>
#include <vector>

namespace elbo {

struct FolderFile {
  std::string path;
  std::string split;  // "" if no folder names a split
  std::string label;  // the first folder below that of the split; "" for files without such a folder
};

// A kind of files, by the endings of their names in lower case: ".png".
struct FileKind {
  std::string what;                   // "images"
  std::vector<std::string> read;      // endings that a converter reads
  std::vector<std::string> not_read;  // endings of the same kind that it does not read, and
  std::string remedy;                 // what to do with these: "convert them to PNG"
};

// The files below `folder` whose endings are read, sorted by path. Folders named train, validation and test
// are splits. Links are followed, but not to a folder that contains them. Warns of files of the kind that are
// not read. Throws a usage Error if no file is read, the folder does not exist or mixes split folders with
// others.
std::vector<FolderFile> files_of_splits(const std::string& folder, const FileKind& kind);

// The path of a file relative to the folder: the name of its row.
std::string name_below(const std::string& folder, const std::string& path);

// The labels, sorted; none if no file has a label. Throws a usage Error if only some have one.
std::vector<std::string> classes_of(const std::vector<FolderFile>& files, const std::string& folder);

}  // namespace elbo
