#include "elbo/convert/array_names.h"

#include <algorithm>

#include "elbo/base/text.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace {

// "x_train", "train_x" and "train/x" without the word that names a split: "x".
std::string without_split(const std::string& name) {
  if (split_named(name).empty()) return name;
  const bool path = name.find('/') != std::string::npos;
  std::vector<std::string> others;
  for (const std::string& part : split(name, path ? '/' : '_')) {
    const std::string other = path ? without_split(part) : split_named(part).empty() ? part : "";
    if (!other.empty()) others.push_back(other);
  }
  return join(others, path ? "/" : "_");
}

}  // namespace

std::vector<std::string> usual_rows() { return {"x", "data", "images", "features", "arr_0"}; }
std::vector<std::string> usual_labels() { return {"y", "label", "labels", "target", "targets", "arr_1"}; }

std::map<std::string, std::string> find_arrays(const std::vector<std::string>& names,
                                               const std::string& wanted,
                                               const std::vector<std::string>& usual) {
  if (std::ranges::find(names, wanted) != names.end()) return {{split_named(wanted), wanted}};
  for (const std::string& candidate : wanted.empty() ? usual : std::vector<std::string>{wanted}) {
    std::map<std::string, std::string> found;
    for (const std::string& name : names)
      if ((wanted.empty() ? lower_case(without_split(name)) : without_split(name)) == candidate)
        found.emplace(split_named(name), name);
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace elbo
