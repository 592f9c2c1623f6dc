#include "elbo/convert/folder.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// Only a single word names a split: a class may be called test_pattern.
std::string split_of_folder(const std::string& name) {
  const bool word = std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) != 0; });
  return word ? split_named(name) : "";
}

void add_files(const fs::path& root, const std::string& split,
               const std::function<bool(const std::string&)>& wanted, std::vector<FolderFile>& files) {
  for (const auto& entry :
       fs::recursive_directory_iterator(root, fs::directory_options::follow_directory_symlink)) {
    if (!entry.is_regular_file() || !wanted(entry.path())) continue;
    const fs::path inside = entry.path().lexically_relative(root);
    files.push_back({entry.path(), split, inside.has_parent_path() ? inside.begin()->string() : ""});
  }
}

}  // namespace

std::vector<FolderFile> files_of_splits(const std::string& folder,
                                        const std::function<bool(const std::string&)>& wanted) {
  if (!fs::is_directory(folder)) usage_error("{}: is not a folder", folder);
  std::vector<fs::path> splits, others;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_directory())
      (split_of_folder(entry.path().filename()).empty() ? others : splits).push_back(entry.path());
  if (!splits.empty() && !others.empty())
    usage_error(
        "{} and {}: a class folder next to a split folder; expected either splits (train, validation, "
        "test) or classes",
        others.front().string(), splits.front().string());
  std::vector<FolderFile> files;
  if (splits.empty()) add_files(folder, "", wanted, files);
  for (const fs::path& split : splits) add_files(split, split_of_folder(split.filename()), wanted, files);
  std::ranges::sort(files, {}, &FolderFile::path);
  return files;
}

std::vector<std::string> classes_of(const std::vector<FolderFile>& files, const std::string& folder) {
  std::vector<std::string> labels;
  for (const FolderFile& file : files)
    if (!file.label.empty()) labels.push_back(file.label);
  if (!labels.empty() && labels.size() < files.size()) {
    const auto bare = std::ranges::find(files, "", &FolderFile::label);
    usage_error("{}: is not in a sub-folder of {}, but other files are; expected a sub-folder for each class",
                bare->path, folder);
  }
  return sorted_classes(std::move(labels));
}

}  // namespace elbo
