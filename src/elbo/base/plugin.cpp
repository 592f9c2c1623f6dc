#include "elbo/base/plugin.h"

#include <dlfcn.h>

#include <array>
#include <filesystem>

namespace elbo {
namespace fs = std::filesystem;
namespace {

void* open_library(const std::string& name, std::string* why) {
  void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (handle == nullptr) *why = ::dlerror();
  return handle;
}

// The loader's path includes the folder of elbo's libraries in a program linked to them.
fs::path place_of(const fs::path& library) {
  std::error_code ignored;  // then the loader looks for it
  const fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const fs::path& place : std::array{folder, folder.parent_path() / "lib"})
    if (fs::exists(place / library, ignored)) return place / library;
  return library;
}

}  // namespace

void* plugin_symbol(const std::string& library, const std::string& symbol, std::string* why) {
  const fs::path place = place_of(library);
  void* handle = open_library(place.string(), why);
  if (handle == nullptr) return nullptr;
  void* address = ::dlsym(handle, symbol.c_str());
  if (address == nullptr) *why = place.string() + " belongs to another version of elbo";
  return address;
}

bool load_library(const std::string& name, std::string* why) { return open_library(name, why) != nullptr; }

}  // namespace elbo
