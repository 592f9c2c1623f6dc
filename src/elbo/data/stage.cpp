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
    size = fs::file_size(source);
    Sha256 hash;
    hash.update(fmt::format("{} {} {}", source.string(), size,
                            fs::last_write_time(source).time_since_epoch().count()));
    target = folder / fmt::format("elbo-{}{}", hash.hex().substr(0, 16), source.extension().string());
  }

  // Copies up to so many bytes and returns how many it were.
  uint64_t copy(uint64_t most) {
    if (fs::exists(target) && fs::file_size(target) == size) {
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

  // What copies of this file left behind whose processes were killed.
  void remove_leftovers() const {
    const std::string begin = target.filename().string() + ".partial-";
    for (const auto& entry : fs::directory_iterator(target.parent_path())) {
      const std::string name = entry.path().filename().string();
      int process = 0;
      if (!name.starts_with(begin) ||
          std::from_chars(name.data() + begin.size(), name.data() + name.size(), process).ec != std::errc() ||
          process <= 0 || ::kill(process, 0) == 0 || errno != ESRCH)
        continue;
      std::error_code ignored;
      fs::remove(entry.path(), ignored);
    }
  }

  void finish() {
    out.close();
    if (!out || fs::file_size(file->temporary_path()) != size)
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
  if (!fs::is_directory(folder))
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
