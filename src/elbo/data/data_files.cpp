#include "elbo/data/data_files.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

bool is_pattern(const std::string& path) { return path.find_first_of("*?[") != std::string::npos; }

// Whatever is wrong with it: a list of many files is too long for a name.
bool is_there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::vector<std::string> items(const std::string& path) {
  if (is_there(path)) return {path};
  std::vector<std::string> result = split(path, ',');
  for (std::string& item : result) item = expand_home(item);
  return result;
}

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  // Sorted below: glob would sort according to the locale.
  const int failure = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> result(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (failure != 0 || result.empty())
    usage_error(
        "data.path={}: matches no file; expected a file, a pattern such as shards/*.h5, or a comma-separated "
        "list",
        pattern);
  std::ranges::sort(result);
  return result;
}

}  // namespace

std::vector<std::string> data_files(const std::string& path) {
  std::vector<std::string> files;
  for (const std::string& item : items(path)) {
    if (!is_pattern(item) || is_there(item)) {
      files.push_back(item);
      continue;
    }
    for (std::string& match : matches(item)) files.push_back(std::move(match));
  }
  std::set<fs::path> seen;
  for (const std::string& file : files) {
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(file, error);
    if (!seen.insert(error ? fs::path(file) : canonical).second)
      usage_error("data.path={}: lists {} twice; expected each file once", path, file);
  }
  return files;
}

std::string absolute_data_path(const std::string& path) {
  std::vector<std::string> result;
  for (const std::string& item : items(path))
    result.push_back(fs::absolute(item).lexically_normal().string());
  return join(result, ",");
}

}  // namespace elbo
