#include "elbo/hdf5/file_search.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "elbo/base/text.h"

namespace elbo::hdf5 {
namespace {

namespace fs = std::filesystem;

fs::path folder_of_file(const std::string& path) {
  std::error_code ignored;
  return fs::absolute(path, ignored).parent_path();
}

// A folder of an environment variable; ${ORIGIN} is the folder of the file `holder`.
fs::path expand_origin(const std::string& prefix, const std::string& holder) {
  constexpr std::string_view origin = "${ORIGIN}";
  if (!prefix.starts_with(origin)) return prefix;
  return folder_of_file(holder).string() + prefix.substr(origin.size());
}

}  // namespace

std::vector<std::string> candidates(const std::string& holder, const std::string& name,
                                    const char* variable) {
  std::vector<std::string> paths;
  fs::path relative = name;
  if (relative.is_absolute()) {  // moved to another folder, the file is found by its own name
    paths.push_back(name);
    relative = relative.filename();
  }
  const char* prefixes = std::getenv(variable);
  for (const std::string& prefix : split(prefixes == nullptr ? "" : prefixes, ':'))
    if (!prefix.empty()) paths.push_back((expand_origin(prefix, holder) / relative).string());
  paths.push_back((folder_of_file(holder) / relative).string());
  paths.push_back(relative.string());
  std::error_code ignored;
  paths.push_back((fs::weakly_canonical(holder, ignored).parent_path() / relative).string());
  return paths;
}

std::optional<std::string> find_file(const std::string& holder, const std::string& name,
                                     const char* variable) {
  for (const std::string& path : candidates(holder, name, variable)) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(path, ignored)) return path;
  }
  return std::nullopt;
}

std::string external_file(const std::string& holder, const std::string& name) {
  const char* prefix = std::getenv("HDF5_EXTFILE_PREFIX");
  if (prefix == nullptr || fs::path(name).is_absolute()) return name;
  return (expand_origin(prefix, holder) / name).string();
}

}  // namespace elbo::hdf5
