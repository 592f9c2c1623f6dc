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

  // Copies up to so many bytes and returns how many it were.
  uint64_t copy(uint64_t most) {
    if (has_all(target)) {
      done = true;
      return 0;
    }
    if (!file) {
      remove_leftovers();
      file = std::make_unique<AtomicFile>(target);
      in.open(source, std::ios::binary);
      out.open(file->temporary_path(), std::ios::binary);
    }
    std::vector<char> piece(8 << 20);
    uint64_t copied = 0;
    while (copied < most && in) {
      in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      out.write(piece.data(), in.gcount());
      copied += static_cast<uint64_t>(in.gcount());
      if (!out)
        fail("data.stage={}: {} cannot be copied there ({}); free space on it, or train without data.stage",
             target.parent_path().string(), source.string(), std::strerror(errno));
    }
    if (!in) finish();
    return copied;
  }

  // Whether a file is there with the size of the source.
  bool has_all(const fs::path& path) const {
    std::error_code error;
    const uint64_t bytes = fs::file_size(path, error);
    return !error && bytes == size;
  }

  // Incomplete copies of this file, whose processes were killed.
  void remove_leftovers() const {
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
      fail("data.stage={}: {} has changed or could not be read while it was copied",
           target.parent_path().string(), source.string());
    file->commit();
    done = true;
  }
};

namespace {

// $NAME or $NAME/… with the value that the variable has here.
std::string with_variable(const std::string& folder) {
  if (!folder.starts_with('$')) return folder;
  const size_t end = std::min(folder.find('/'), folder.size());
  const std::string name = folder.substr(1, end - 1);
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0')
    usage_error("data.stage={}: there is no variable {} on {}; set it, or name a folder", folder, name,
                host_name());
  return value + folder.substr(end);
}

}  // namespace

Stage::Stage(const std::string& path, const std::string& where) {
  const std::string folder = with_variable(where);
  std::error_code ignored;  // whatever is wrong with it
  if (!fs::is_directory(folder, ignored))
    usage_error("data.stage={}: is no folder on {}; make it, or name another", folder, host_name());
  if (folder.find(',') != std::string::npos)
    usage_error("data.stage={}: has a comma in its name, which separates files; expected another", folder);
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
