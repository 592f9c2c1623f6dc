// Files that appear whole or not at all.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace elbo {

// A file under construction: write to temporary_path(), then commit(). Until then the target is untouched;
// without a commit the destructor removes the temporary file. Temporary names are the target's with
// ".partial-<process>" appended.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  const std::filesystem::path& temporary_path() const { return temporary_; }
  // Syncs the file, renames it onto the target (which it replaces), syncs the folder. Throws Error.
  void commit();

 private:
  std::filesystem::path target_, temporary_;
  bool committed_ = false;
};

void write_file(const std::filesystem::path& path, std::string_view content);  // atomically; throws Error
std::string read_file(const std::filesystem::path& path);  // throws usage Error if it is not there

// Throws a usage Error, with the reason, unless `path` is a regular file that can be opened for reading.
void require_readable_file(const std::filesystem::path& path);

// The path with the home directory (HOME) in place of "~" before its first '/'; shells replace it only at the
// beginning of a word. Throws a usage Error where HOME is not set.
std::string expand_home(const std::string& path);

// What a folder holds, in no order; `error` says where it cannot be listed to its end.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder, std::error_code& error);

// Removes a file, if there is one, that is of no use any more. Where that fails, a warning says so.
void remove_or_warn(const std::filesystem::path& path);

// Makes the folder that will hold `path`. Throws a usage Error where that is not possible.
void make_parent(const std::filesystem::path& path);

}  // namespace elbo
