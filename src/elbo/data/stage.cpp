#include "elbo/data/stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/host.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/data/data_files.h"

namespace elbo {
namespace fs = std::filesystem;

struct Stage::Copy {
  fs::path source, target;
  uint64_t size;
  std::unique_ptr<AtomicFile> file;
  std::ifstream in;
  std::ofstream out;
  bool done = false;

  Copy(const fs::path& from, const fs::path& folder) : source(fs::absolute(from).lexically_normal()) {
    require_readable_file(source);
    std::error_code error;
    size = fs::file_size(source, error);
    const fs::file_time_type changed = error ? fs::file_time_type() : fs::last_write_time(source, error);
    if (error) usage_error("{}: cannot be read: {}", source.string(), error.message());
    Sha256 hash;
    hash.update(fmt::format("{} {} {}", source.string(), size, changed.time_since_epoch().count()));
    target = folder / fmt::format("elbo-{}{}", hash.hex().substr(0, 16), source.extension().string());
  }

  // Copies up to `limit` bytes; returns the number of bytes copied.
  uint64_t copy(uint64_t limit) {
    if (has_all(target)) {
      done = true;
      return 0;
    }
    if (!file) {
      remove_stale_files();
      file = std::make_unique<AtomicFile>(target);
      in.open(source, std::ios::binary);
      out.open(file->temporary_path(), std::ios::binary);
    }
    std::vector<char> piece(8 << 20);
    uint64_t copied = 0;
    while (copied < limit && in) {
      in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      out.write(piece.data(), in.gcount());
      copied += static_cast<uint64_t>(in.gcount());
      if (!out)
        fail("data.stage={}: {} cannot be copied there ({}); free some space, or train without data.stage",
             target.parent_path().string(), source.string(), std::strerror(errno));
    }
    if (!in) finish();
    return copied;
  }

  // Whether the file exists and has the size of the source.
  bool has_all(const fs::path& path) const {
    std::error_code error;
    const uint64_t bytes = fs::file_size(path, error);
    return !error && bytes == size;
  }

  // Removes temporary files of copies whose processes were killed.
  void remove_stale_files() const {
    const std::string begin = target.filename().string() + ".partial-";
    std::error_code error;
    for (const fs::path& path : entries_of(target.parent_path(), error)) {
      const std::string name = path.filename().string();
      int process = 0;
      if (name.starts_with(begin) &&
          std::from_chars(name.data() + begin.size(), name.data() + name.size(), process).ec == std::errc() &&
          process > 0 && ::kill(process, 0) != 0 && errno == ESRCH)
        remove_or_warn(path);
    }
    if (error)
      log::warning("data.stage={}: cannot be listed: {}", target.parent_path().string(), error.message());
  }

  void finish() {
    out.close();
    if (!out || !has_all(file->temporary_path()))
      fail("data.stage={}: {} changed or could not be read during the copy; start again",
           target.parent_path().string(), source.string());
    file->commit();
    done = true;
  }
};

namespace {

// Expands a leading $NAME.
std::string expand_variable(const std::string& folder) {
  if (!folder.starts_with('$')) return folder;
  const size_t end = std::min(folder.find('/'), folder.size());
  const std::string name = folder.substr(1, end - 1);
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0')
    usage_error("data.stage={}: the variable {} is not set on {}; set it, or give a folder", folder, name,
                host_name());
  return value + folder.substr(end);
}

}  // namespace

Stage::Stage(const std::string& path, const std::string& where) {
  const std::string folder = expand_variable(where);
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    usage_error("data.stage={}: is not a folder on {}; create it, or give another", folder, host_name());
  if (folder.find(',') != std::string::npos)
    usage_error(
        "data.stage={}: contains a comma, which separates files in data.path; expected a name without one",
        folder);
  for (const std::string& file : data_files(path)) copies_.push_back(std::make_unique<Copy>(file, folder));
}

Stage::~Stage() = default;

bool Stage::copy_some() {
  uint64_t left = uint64_t{1} << 30;
  for (const auto& copy : copies_) {
    while (!copy->done && left > 0) left -= std::min(left, copy->copy(left));
    if (left == 0) return true;
  }
  return false;
}

std::string Stage::path() const {
  std::vector<std::string> paths;
  paths.reserve(copies_.size());
  for (const auto& copy : copies_) paths.push_back(copy->target.string());
  return join(paths, ",");
}

}  // namespace elbo
