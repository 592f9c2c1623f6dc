#include "elbo/data/file_contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>

#include "elbo/base/text.h"
#include "elbo/data/split_names.h"

namespace elbo {
namespace {

constexpr int64_t most_objects = 10'000;  // that are looked at
constexpr int deepest = 8;                // groups inside each other: a group may hold itself
constexpr size_t fewest_samples = 4;      // groups or datasets that look like one for each sample

std::string inside(const std::string& group, const std::string& name) {
  return (group == "/" ? "" : group) + "/" + name;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool can_be_rows(const DataFile& file, const std::string& path) {
  if (role_meant(last_part(path)) == ArrayRole::labels) return false;
  const hdf5::DatasetInfo info = file.describe(path);
  const bool has_rows = !info.shape.empty() && info.shape.front() > 1;
  if (info.type_class == H5T_COMPOUND) return has_rows && info.shape.size() == 1;
  return info.numeric() && has_rows && info.shape.size() > 1;
}

struct Walk {
  const DataFile& file;
  std::vector<std::string> found{};
  int64_t seen = 0;

  void into(const std::string& group, int depth) {
    for (const std::string& name : hdf5::list(file.handle(), group)) {
      if (++seen > most_objects) return;
      const std::string path = inside(group, name);
      const bool internal = name.starts_with("_i_") || name.starts_with('#');  // of PyTables, of MATLAB
      if (internal || !hdf5::exists(file.handle(), path)) continue;
      if (hdf5::is_group(file.handle(), path)) {
        if (depth < deepest) into(path, depth + 1);
      } else if (can_be_rows(file, path)) {
        found.push_back(path);
      }
    }
  }
};

// The Python that puts `rows`, an expression of the group g and its members k, into one dataset beside them.
std::string python_line(const DataFile& file, const std::string& group, const std::string& rows,
                        const std::string& labels = "") {
  return fmt::format(
      "in Python: import h5py, numpy; f = h5py.File(\"{}\", \"a\"); g = f[\"{}\"]; k = {}; {}; f.close()",
      std::filesystem::path(file.path()).filename().string(), group,
      labels.empty() ? "sorted(g)" : fmt::format("sorted(set(g) - {{\"{}\"}})", labels), rows);
}

// Members of a group that are datasets of numbers of one shape.
bool are_alike(const DataFile& file, const std::vector<std::string>& paths, size_t dimensions) {
  if (paths.size() < 2) return false;
  const hdf5::DatasetInfo first = file.describe(paths.front());
  return std::ranges::all_of(paths, [&](const std::string& path) {
    const hdf5::DatasetInfo info = file.describe(path);
    return info.numeric() && info.shape == first.shape && info.shape.size() >= dimensions;
  });
}

void reject_samples_in_groups(const DataFile& file, const std::string& group,
                              const std::vector<std::string>& groups) {
  const std::vector<std::string> members = hdf5::list(file.handle(), groups.front());
  const std::span<const std::string> sample(groups.data(), std::min<size_t>(groups.size(), 100));
  const bool alike = groups.size() >= fewest_samples && !members.empty() &&
                     std::ranges::all_of(sample, [&](const auto& sibling) {
                       return hdf5::list(file.handle(), sibling) == members;
                     });
  if (!alike) return;
  std::string rows, labels;
  for (const std::string& name : members) {
    std::string& meant = role_meant(name) == ArrayRole::labels ? labels : rows;
    if (meant.empty()) meant = name;
  }
  std::string line = fmt::format("x = numpy.stack([g[i][\"{}\"][()] for i in k])", rows);
  if (!labels.empty()) line += fmt::format("; g[\"label\"] = [g[i][\"{}\"][()] for i in k]", labels);
  file.reject(fmt::format(
      "{} has a group for each sample ({} and {} more); all rows must be in one dataset; {}", group,
      groups.front(), groups.size() - 1, python_line(file, group, line + "; g[\"x\"] = x")));
}

}  // namespace

std::string contents(const DataFile& file) {
  std::vector<std::string> names;
  for (const std::string& name : hdf5::list(file.handle(), "/")) {
    if (hdf5::leads_nowhere(file.handle(), "/" + name) || !hdf5::is_group(file.handle(), "/" + name)) {
      names.push_back("/" + name);
      continue;
    }
    for (const std::string& member : hdf5::list(file.handle(), "/" + name))
      names.push_back(fmt::format("/{}/{}", name, member));
    if (names.size() > 12) break;
  }
  if (names.size() > 12) {
    names.resize(12);
    names.emplace_back("…");
  }
  return names.empty() ? "nothing" : join(names, ", ");
}

std::vector<std::string> datasets_in(const DataFile& file, const std::string& group) {
  std::vector<std::string> paths;
  for (const std::string& name : hdf5::list(file.handle(), group)) {
    const std::string path = inside(group, name);
    if (hdf5::exists(file.handle(), path) && !hdf5::is_group(file.handle(), path)) paths.push_back(path);
  }
  return paths;
}

std::vector<std::string> row_candidates(const DataFile& file, const std::string& group) {
  Walk walk{.file = file};
  walk.into(group, 0);
  return walk.found;
}

std::string labels_in(const DataFile& file, const std::string& group, int64_t rows) {
  std::string found;
  for (const std::string& path : datasets_in(file, group)) {
    const std::vector<int64_t> shape = file.describe(path).shape;
    const bool fits =
        !shape.empty() && (shape.front() == rows || (shape.size() == 2 && shape.back() == rows));
    if (role_meant(last_part(path)) != ArrayRole::labels || !fits) continue;
    if (!found.empty()) return "";  // either could be meant
    found = path;
  }
  return found;
}

void reject_scattered_rows(const DataFile& file, const std::string& group) {
  std::vector<std::string> groups;
  for (const std::string& name : hdf5::list(file.handle(), group))
    if (hdf5::is_group(file.handle(), inside(group, name))) groups.push_back(inside(group, name));
  std::vector<std::string> datasets = datasets_in(file, group);
  const auto label = std::ranges::find(datasets, ArrayRole::labels,
                                       [](const std::string& path) { return role_meant(last_part(path)); });
  const std::string labels = label == datasets.end() ? "" : last_part(*label);
  if (label != datasets.end()) datasets.erase(label);
  if (groups.empty() && are_alike(file, datasets, 1) && file.describe(datasets.front()).shape.size() == 1)
    file.reject(fmt::format(
        "{} has a dataset for each column ({} and {} more, of {} numbers); rows must be in one dataset; {}",
        group, datasets.front(), datasets.size() - 1, file.describe(datasets.front()).shape.front(),
        python_line(file, group, "g[\"x\"] = numpy.stack([g[i][()] for i in k], 1)", labels)));
  if (groups.empty() && datasets.size() >= fewest_samples && are_alike(file, datasets, 2))
    file.reject(fmt::format(
        "{} has a dataset for each sample ({} and {} more, of shape {}); all rows must be in one dataset; {}",
        group, datasets.front(), datasets.size() - 1, shape_text(file.describe(datasets.front()).shape),
        python_line(file, group, "g[\"x\"] = numpy.stack([g[i][()] for i in k])", labels)));
  if (!groups.empty()) reject_samples_in_groups(file, group, groups);
}

}  // namespace elbo
