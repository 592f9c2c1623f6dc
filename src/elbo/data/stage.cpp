#include "elbo/data/stage.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/host.h"
#include "elbo/base/log.h"
#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/data/data_files.h"

namespace elbo {
namespace fs = std::filesystem;

namespace {

constexpr size_t piece_bytes = 8 << 20;

// Whether the file is this user's alone: nobody else can have put it there or changed it.
bool is_private(const fs::path& path) {
  struct stat about = {};
  return ::lstat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode) && about.st_uid == ::geteuid() &&
         (about.st_mode & mode_t{S_IWGRP | S_IWOTH}) == 0;
}

}  // namespace

struct Stage::Copy {
  fs::path source, folder;
  std::string name;  // of the copy, up to its digest
  uint64_t size;
  std::ifstream in;
  std::unique_ptr<Sha256> digest = std::make_unique<Sha256>();  // of the bytes read so far
  fs::path found;                                               // the copy that is being verified
  std::unique_ptr<AtomicFile> file;                             // the copy that is being made
  std::ofstream out;
  bool looked = false, done = false;

  Copy(const fs::path& from, const fs::path& to) : source(fs::absolute(from).lexically_normal()), folder(to) {
    require_readable_file(source);
    std::error_code error;
    size = fs::file_size(source, error);
    const fs::file_time_type changed = error ? fs::file_time_type() : fs::last_write_time(source, error);
    if (error) usage_error("{}: cannot be read: {}", source.string(), error.message());
    Sha256 hash;
    hash.update(fmt::format("{} {} {}", source.string(), size, changed.time_since_epoch().count()));
    name = fmt::format("elbo-{}-", hash.hex().substr(0, 16));
  }

  fs::path target(const std::string& sha256) const {
    return folder / fmt::format("{}{}{}", name, sha256.substr(0, 32), source.extension().string());
  }

  // Complete copies of the source, whatever they hold.
  std::vector<fs::path> copies() const {
    std::error_code error;
    std::vector<fs::path> paths = entries_of(folder, error);
    std::erase_if(paths, [&](const fs::path& path) {
      const std::string file_name = path.filename();
      return !file_name.starts_with(name) || file_name.find(".partial-") != std::string::npos;
    });
    return paths;
  }

  // Copies or verifies up to `limit` bytes; returns the number of bytes.
  uint64_t advance(uint64_t limit) {
    if (!std::exchange(looked, true)) begin();
    std::vector<char> piece(piece_bytes);
    uint64_t count = 0;
    while (count < limit && in) {
      in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      digest->update(piece.data(), static_cast<size_t>(in.gcount()));
      count += static_cast<uint64_t>(in.gcount());
      if (!file) continue;
      out.write(piece.data(), in.gcount());
      if (!out)
        fail("data.stage={}: {} cannot be copied there ({}); free some space, or train without data.stage",
             folder.string(), source.string(), std::strerror(errno));
    }
    if (!in) file ? finish() : finish_verification();
    return count;
  }

  void begin() {
    for (const fs::path& path : copies())
      if (is_private(path) && has_all(path)) found = path;
    found.empty() ? begin_copy() : open(found);
  }

  void open(const fs::path& path) {
    in = std::ifstream(path, std::ios::binary);
    digest = std::make_unique<Sha256>();
  }

  void finish_verification() {
    done = found == target(digest->hex());
    if (done) return;
    log::warning("data.stage={}: {} is not the copy that was made of {}; it is copied again", folder.string(),
                 found.filename().string(), source.string());
    begin_copy();
  }

  void begin_copy() {
    remove_stale_files();
    for (const fs::path& path : copies()) remove_or_warn(path);
    file = std::make_unique<AtomicFile>(folder / (name + "copy"));
    open(source);
    const mode_t before = ::umask(0077);
    out.open(file->temporary_path(), std::ios::binary);
    ::umask(before);
  }

  // Whether the file exists and has the size of the source.
  bool has_all(const fs::path& path) const {
    std::error_code error;
    const uint64_t bytes = fs::file_size(path, error);
    return !error && bytes == size;
  }

  // Removes temporary files of copies whose processes were killed.
  void remove_stale_files() const {
    constexpr std::string_view mark = ".partial-";
    std::error_code error;
    for (const fs::path& path : entries_of(folder, error)) {
      const std::string file_name = path.filename().string();
      const size_t at = file_name.rfind(mark);
      if (!file_name.starts_with(name) || at == std::string::npos) continue;
      int process = 0;
      const char* const number = file_name.data() + at + mark.size();
      if (std::from_chars(number, file_name.data() + file_name.size(), process).ec == std::errc() &&
          process > 0 && ::kill(process, 0) != 0 && errno == ESRCH)
        remove_or_warn(path);
    }
    if (error) log::warning("data.stage={}: cannot be listed: {}", folder.string(), error.message());
  }

  void finish() {
    out.close();
    if (!out || !has_all(file->temporary_path()))
      fail("data.stage={}: {} changed or could not be read during the copy; start again", folder.string(),
           source.string());
    file->commit_as(target(digest->hex()));
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
    while (!copy->done && left > 0) left -= std::min(left, copy->advance(left));
    if (left == 0) return true;
  }
  return false;
}

std::string Stage::path() const {
  std::vector<std::string> paths;
  paths.reserve(copies_.size());
  for (const auto& copy : copies_) {
    std::vector<fs::path> found = copy->copies();
    std::erase_if(found, [](const fs::path& path) { return !is_private(path); });
    if (found.size() != 1)
      fail("data.stage={}: expected one copy of {} on {}, found {}", copy->folder.string(),
           copy->source.string(), host_name(), found.size());
    paths.push_back(found.front().string());
  }
  return join(paths, ",");
}

}  // namespace elbo
