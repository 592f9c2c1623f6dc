// Reading files and writing them atomically.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "elbo/base/unfinished_file.h"

namespace elbo {

// An atomic write: write to temporary_path(), then call commit(). The target does not change before that.
// Without a commit the destructor removes the temporary file, whose name is <target>.partial-<process id>,
// and so does a signal where RemovalOnSignals exists. If the target is a link, the file that it leads to is
// replaced.
class AtomicFile {
 public:
  // Throws as replaceable_file() does.
  explicit AtomicFile(const std::filesystem::path& target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  const std::filesystem::path& temporary_path() const { return temporary_; }
  // Syncs the file, renames it to the target (replacing it) and syncs the folder. Throws Error.
  void commit();
  void commit_as(const std::filesystem::path& target);  // the same, with another target of the same folder

 private:
  std::filesystem::path target_, temporary_;
  UnfinishedFile unfinished_;
  bool committed_ = false;
};

// The file that a write to `path` creates or replaces: the one that a link leads to. Throws a usage Error
// where that is not a regular file, and for a link that leads nowhere.
std::filesystem::path replaceable_file(const std::filesystem::path& path);

void write_file(const std::filesystem::path& path, std::string_view content);  // atomically; throws Error
std::string read_file(const std::filesystem::path& path);  // throws a usage Error if it cannot be read

// Throws a usage Error, with the reason, unless `path` is a regular file that can be opened for reading.
void require_readable_file(const std::filesystem::path& path);

// Replaces "~" before the first '/' of the path by the home directory (HOME); shells expand it only at the
// beginning of a word. Throws a usage Error if HOME is not set.
std::string expand_home(const std::string& path);

// The entries of a folder, in no order; `error` says why it cannot be listed completely.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder, std::error_code& error);

// Removes a file that is no longer needed, if it exists. A failure is a warning.
void remove_or_warn(const std::filesystem::path& path);

// Creates the parent folder of `path`. Throws a usage Error if that fails.
void make_parent(const std::filesystem::path& path);

}  // namespace elbo
