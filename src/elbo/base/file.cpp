#include "elbo/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "elbo/base/error.h"
#include "elbo/base/log.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

void sync_path(const fs::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags);
  if (descriptor < 0) fail("{}: cannot be opened for fsync: {}", path.string(), std::strerror(errno));
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  // Some file systems cannot sync folders (EINVAL); there the file system decides how durable the rename is.
  if (result != 0 && error != EINVAL) fail("{}: cannot be synced: {}", path.string(), std::strerror(error));
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& target)
    : target_(replaceable_file(target)),
      temporary_(fmt::format("{}.partial-{}", target_.string(), ::getpid())),
      unfinished_(temporary_) {}

AtomicFile::~AtomicFile() {
  std::error_code ignored;
  if (!committed_) fs::remove(temporary_, ignored);
}

void AtomicFile::commit() {
  sync_path(temporary_, O_RDONLY);
  std::error_code error;
  fs::rename(temporary_, target_, error);
  if (error) fail("{}: cannot be renamed into place: {}", target_.string(), error.message());
  committed_ = true;
  sync_path(folder_of(target_), O_RDONLY | O_DIRECTORY);
}

void AtomicFile::commit_as(const fs::path& target) {
  target_ = replaceable_file(target);
  commit();
}

fs::path replaceable_file(const fs::path& path) {
  std::error_code ignored;  // whatever else is wrong with the path, writing says so
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status))
    usage_error("{}: is a folder; expected the name of a file to write", path.string());
  if (fs::exists(status) && !fs::is_regular_file(status))
    usage_error("{}: is a FIFO, a socket or a device; expected the name of a file to write", path.string());
  if (!fs::is_symlink(path, ignored)) return path;
  if (!fs::exists(status))
    usage_error("{}: is a link to a file that does not exist; remove it first", path.string());
  return fs::canonical(path);
}

void write_file(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  errno = 0;
  std::ofstream stream(file.temporary_path(), std::ios::binary);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
  file.commit();
}

std::string read_file(const fs::path& path) {
  require_readable_file(path);
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream content;
  content << stream.rdbuf();
  if (stream.bad()) fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
  return content.str();
}

void require_readable_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found && fs::is_symlink(path, error))
    usage_error("{}: links to {}, which does not exist; correct or remove the link", path.string(),
                fs::read_symlink(path, error).string());
  if (status.type() == fs::file_type::not_found)
    usage_error("{}: no such file; check the path (the working folder is {})", path.string(),
                fs::current_path(error).string());
  if (status.type() == fs::file_type::directory)
    usage_error("{}: is a folder; expected a file", path.string());
  if (error) usage_error("{}: cannot be read: {}", path.string(), error.message());
  // Reading a FIFO waits for ever, and a device has no end.
  if (status.type() != fs::file_type::regular)
    usage_error("{}: is a FIFO, a socket or a device; expected a file: write its content to one first",
                path.string());
  if (::access(path.c_str(), R_OK) != 0)
    usage_error("{}: cannot be read: {}", path.string(), std::strerror(errno));
}

std::string expand_home(const std::string& path) {
  if (path != "~" && !path.starts_with("~/")) return path;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') usage_error("{}: HOME is not set; write the path without ~", path);
  return home + path.substr(1);
}

std::vector<fs::path> entries_of(const fs::path& folder, std::error_code& error) {
  std::vector<fs::path> paths;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    paths.push_back(entry->path());
  return paths;
}

void remove_or_warn(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) log::warning("{}: cannot be removed: {}", path.string(), error.message());
}

void make_parent(const fs::path& path) {
  std::error_code error;
  fs::create_directories(folder_of(path), error);
  if (error) usage_error("{}: the folder cannot be created: {}", folder_of(path).string(), error.message());
}

}  // namespace elbo
