#include "elbo/convert/folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

// Only a single word names a split: a class may be called test_pattern.
std::string split_of_folder(const std::string& name) {
  const bool word = std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) != 0; });
  return word ? split_named(name) : "";
}

bool ends_with_one_of(const fs::path& path, const std::vector<std::string>& endings) {
  return std::ranges::find(endings, lower_case(path.extension())) != endings.end();
}

std::vector<fs::path> entries_in(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries = entries_of(folder, error);
  if (error) usage_error("{}: cannot be read: {}", folder.string(), error.message());
  return entries;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;  // a link to itself, for example
  return fs::is_directory(path, ignored);
}

class FilesOfKind {
 public:
  explicit FilesOfKind(const FileKind& kind) : kind_(kind) {}

  // `root`: the folder of a split; its sub-folders are classes.
  void add(const fs::path& root, const std::string& split) { add(root, root, split, {}); }

  std::vector<FolderFile> sorted(const std::string& folder) {
    if (files_.empty() && passed_over_.empty())
      usage_error("{}: holds no {}; expected files named {}", folder, kind_.what, join(kind_.read, ", "));
    if (files_.empty())
      usage_error("{}: holds no {} of a kind that is read, but {}; {}", folder, kind_.what, passed_over(),
                  kind_.remedy);
    if (!passed_over_.empty())
      log::warning("{}: {} {} beside {} others are left out, as their kinds are not read; {}", folder,
                   passed_over(), kind_.what, files_.size(), kind_.remedy);
    std::ranges::sort(files_, {}, &FolderFile::path);
    return std::move(files_);
  }

 private:
  // parents: the folders above, without links.
  void add(const fs::path& folder, const fs::path& root, const std::string& split,
           std::vector<fs::path> parents) {
    std::error_code ignored;
    parents.push_back(fs::canonical(folder, ignored));
    for (const fs::path& entry : entries_in(folder)) {
      if (is_folder(entry)) {
        if (contains_one_of(entry, parents))
          log::warning("{}: links to a folder that contains it, and is not followed", entry.string());
        else
          add(entry, root, split, parents);
      } else {  // a link that leads nowhere, too: it is refused where it is read
        add_file(entry, root, split);
      }
    }
  }

  static bool contains_one_of(const fs::path& link, const std::vector<fs::path>& folders) {
    std::error_code ignored;
    if (!fs::is_symlink(link, ignored)) return false;
    const fs::path target = fs::canonical(link, ignored);
    return std::ranges::any_of(folders, [&](const fs::path& folder) {
      return std::mismatch(target.begin(), target.end(), folder.begin(), folder.end()).first == target.end();
    });
  }

  void add_file(const fs::path& path, const fs::path& root, const std::string& split) {
    if (ends_with_one_of(path, kind_.read)) {
      const fs::path inside = path.lexically_relative(root);
      files_.push_back({path, split, inside.has_parent_path() ? inside.begin()->string() : ""});
    } else if (ends_with_one_of(path, kind_.not_read)) {
      ++passed_over_[lower_case(path.extension())];
    }
  }

  std::string passed_over() const {
    std::vector<std::string> counts;
    counts.reserve(passed_over_.size());
    for (const auto& [ending, count] : passed_over_) counts.push_back(fmt::format("{} {}", count, ending));
    return join(counts, ", ");
  }

  const FileKind& kind_;
  std::vector<FolderFile> files_;
  std::map<std::string, int64_t> passed_over_;  // by ending
};

}  // namespace

std::vector<FolderFile> files_of_splits(const std::string& folder, const FileKind& kind) {
  if (!is_folder(folder)) usage_error("{}: is not a folder", folder);
  std::vector<fs::path> splits, others;
  for (const fs::path& entry : entries_in(folder))
    if (is_folder(entry)) (split_of_folder(entry.filename()).empty() ? others : splits).push_back(entry);
  if (!splits.empty() && !others.empty())
    usage_error(
        "{} and {}: a class folder next to a split folder; expected either splits (train, validation, "
        "test) or classes",
        others.front().string(), splits.front().string());
  FilesOfKind files(kind);
  if (splits.empty()) files.add(folder, "");
  for (const fs::path& split : splits) files.add(split, split_of_folder(split.filename()));
  return files.sorted(folder);
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

std::string name_below(const std::string& folder, const std::string& path) {
  std::string name = fs::path(path).lexically_relative(folder).string();
  return name.empty() || name == "." ? fs::path(path).filename().string() : name;
}

}  // namespace elbo
