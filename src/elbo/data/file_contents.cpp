#include "elbo/data/file_contents.h"

#include <c10/util/accumulate.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <span>

#include "elbo/base/text.h"
#include "elbo/data/row_view.h"
#include "elbo/data/sparse_rows.h"
#include "elbo/data/split_names.h"
#include "elbo/data/why_no_rows.h"

namespace elbo {
namespace {

constexpr int64_t most_objects = 10'000;  // that are looked at
constexpr int deepest = 8;                // groups inside each other: a group may hold itself
constexpr size_t fewest_samples = 4;      // groups or datasets that look like one for each sample

std::string inside(const std::string& group, const std::string& name) {
  return (group == "/" ? "" : group) + "/" + name;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Of PyTables and MATLAB.
bool is_internal(const std::string& name) { return name.starts_with("_i_") || name.starts_with('#'); }

struct Walk {
  const DataFile& file;
  std::vector<std::string> found{};
  std::string sparse_of_matlab{};  // a group
  std::string largest{};           // of the other datasets
  int64_t seen = 0, largest_size = 0;

  void into(const std::string& group, int depth) {
    const hdf5::Handle opened = hdf5::open_group(file.handle(), group);
    const bool of_pandas = hdf5::read_text_attribute(opened, "pandas_type").has_value();
    if (is_sparse_of_matlab(file, group)) sparse_of_matlab = group;
    for (const std::string& name : hdf5::list(file.handle(), group)) {
      if (++seen > most_objects) return;
      const std::string path = inside(group, name);
      if (is_internal(name) || (of_pandas && name == "meta") || !hdf5::exists(file.handle(), path)) continue;
      if (hdf5::is_group(file.handle(), path)) {
        if (depth < deepest) into(path, depth + 1);
      } else {
        look_at(path);
      }
    }
  }

  void look_at(const std::string& path) {
    if (role_meant(last_part(path)) == ArrayRole::labels) return;
    const std::vector<int64_t> shape = file.describe(path).shape;
    if (shape.empty()) return;
    if (why_no_rows(file, path).empty()) {
      if (shape.front() > 1) found.push_back(path);
    } else if (const int64_t size = c10::multiply_integers(shape); size > largest_size) {
      largest = path;
      largest_size = size;
    }
  }
};

// The Python that executes `line` with the group as g and its members, apart from the labels, as k: 2
// before 10.
std::string python_line(const DataFile& file, const std::string& group, const std::string& line,
                        const std::string& labels = "") {
  return fmt::format(
      "in Python: import h5py, numpy; f = h5py.File(\"{}\", \"a\"); g = f[\"{}\"]; "
      "k = sorted({}, key=lambda i: (len(i), i)); {}; f.close()",
      std::filesystem::path(file.path()).filename().string(), group,
      labels.empty() ? "g" : fmt::format("set(g) - {{\"{}\"}}", labels), line);
}

// Whether rows are looked for in the group: then Python puts them beside its members, otherwise into train.
bool is_searched_for_rows(const std::string& group) {
  return group == "/" || !split_meant(last_part(group)).empty();
}

std::string python_target(bool beside, const char* dataset) {
  return beside ? fmt::format("g[\"{}\"]", dataset) : fmt::format("f[\"train/{}\"]", dataset);
}

// The Python that stacks the members of a group along a dimension.
std::string python_of_members(const DataFile& file, const std::string& group, const std::string& labels,
                              int dimension) {
  const bool beside = is_searched_for_rows(group);
  std::string line =
      fmt::format("{} = numpy.stack([g[i][()] for i in k], {})", python_target(beside, "x"), dimension);
  if (!labels.empty() && !beside)
    line += fmt::format("; {} = g[\"{}\"][()]", python_target(beside, "label"), labels);
  return python_line(file, group, line, labels);
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

// Whether they look like one for each sample: many, or with numbers in their names. Variables of netCDF,
// which have dimensions with names, are not samples.
bool are_samples(const DataFile& file, const std::vector<std::string>& paths) {
  constexpr size_t many = 16;
  const auto is_numbered = [](const std::string& path) {
    return std::ranges::any_of(last_part(path), [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  return paths.size() >= fewest_samples && (paths.size() > many || std::ranges::all_of(paths, is_numbered)) &&
         !hdf5::has_attribute(hdf5::open_dataset(file.handle(), paths.front()), "DIMENSION_LIST");
}

// Whether vectors of one length are rather rows than columns: they are numbered, or more than they are long.
bool looks_like_rows(const DataFile& file, const std::vector<std::string>& paths) {
  const auto is_number = [](const std::string& path) {
    return std::ranges::all_of(last_part(path), [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  return std::ranges::all_of(paths, is_number) ||
         std::ssize(paths) > file.describe(paths.front()).shape.front();
}

// The dataset with that role, rows or labels, among the members of a group; "" for none.
std::string member_of_sample(const DataFile& file, const std::string& group,
                             const std::vector<std::string>& members, ArrayRole role) {
  for (const std::string& name : members) {
    const std::string path = inside(group, name);
    const bool is_label = role_meant(name) == ArrayRole::labels;
    if (!hdf5::is_group(file.handle(), path) && file.describe(path).numeric() &&
        is_label == (role == ArrayRole::labels))
      return name;
  }
  return "";
}

// The Python that stacks the rows of the groups in a group. padded: their lengths differ.
std::string python_of_samples(const DataFile& file, const std::string& group, const std::string& rows,
                              const std::string& labels, bool padded) {
  const bool beside =
      is_searched_for_rows(group) && !padded;  // lengths are read in the group of a split alone
  std::string line = fmt::format("r = [g[i][\"{}\"][()] for i in k]", rows);
  if (padded)
    line += fmt::format(
        "; n = [len(a) for a in r]; {} = n; "
        "r = [numpy.pad(a, [(0, max(n) - len(a))] + [(0, 0)] * (a.ndim - 1)) for a in r]",
        python_target(beside, "length"));
  if (!labels.empty())
    line += fmt::format("; {} = [g[i][\"{}\"][()] for i in k]", python_target(beside, "label"), labels);
  return python_line(file, group, line + fmt::format("; {} = numpy.stack(r)", python_target(beside, "x")));
}

void reject_samples_in_groups(const DataFile& file, const std::string& group,
                              const std::vector<std::string>& groups) {
  if (groups.size() < fewest_samples) return;
  const std::vector<std::string> members = hdf5::list(file.handle(), groups.front());
  const std::span<const std::string> sample(groups.data(), std::min<size_t>(groups.size(), 100));
  const bool alike = !members.empty() && std::ranges::all_of(sample, [&](const auto& sibling) {
    return hdf5::list(file.handle(), sibling) == members;
  });
  if (!alike) return;
  const std::string rows = member_of_sample(file, groups.front(), members, ArrayRole::rows),
                    labels = member_of_sample(file, groups.front(), members, ArrayRole::labels);
  if (rows.empty()) return;
  const std::vector<int64_t> shape = file.describe(inside(groups.front(), rows)).shape;
  const bool padded = std::ranges::any_of(sample, [&](const std::string& sibling) {
    return file.describe(inside(sibling, rows)).shape != shape;
  });
  file.reject(
      fmt::format("{} has a group for each sample ({} and {} more){}; all rows must be in one dataset; {}",
                  group, groups.front(), groups.size() - 1, padded ? ", of different lengths" : "",
                  python_of_samples(file, group, rows, labels, padded)));
}

// Absolute paths of the groups in `group`.
std::vector<std::string> groups_in(const DataFile& file, const std::string& group) {
  std::vector<std::string> groups;
  for (const std::string& name : hdf5::list(file.handle(), group)) {
    const std::string path = inside(group, name);
    if (!is_internal(name) && !hdf5::leads_nowhere(file.handle(), path) &&
        hdf5::is_group(file.handle(), path))
      groups.push_back(path);
  }
  return groups;
}

void reject_scattered(const DataFile& file, const std::string& group, bool columns) {
  const std::vector<std::string> groups = groups_in(file, group);
  std::vector<std::string> datasets = datasets_in(file, group);
  const auto label = std::ranges::find(datasets, ArrayRole::labels,
                                       [](const std::string& path) { return role_meant(last_part(path)); });
  const std::string labels = label == datasets.end() ? "" : last_part(*label);
  if (label != datasets.end()) datasets.erase(label);
  const bool are_vectors = columns && groups.empty() && are_alike(file, datasets, 1) &&
                           file.describe(datasets.front()).shape.size() == 1;
  const bool are_rows = are_vectors && looks_like_rows(file, datasets);
  if (are_vectors && !are_rows)
    file.reject(fmt::format(
        "{} has a dataset for each column ({} and {} more, of {} numbers); rows must be in one dataset; {}",
        group, datasets.front(), datasets.size() - 1, file.describe(datasets.front()).shape.front(),
        python_of_members(file, group, labels, 1)));
  if (are_rows || (groups.empty() && are_alike(file, datasets, 2) && are_samples(file, datasets)))
    file.reject(fmt::format(
        "{} has a dataset for each sample ({} and {} more, of shape {}); all rows must be in one dataset; {}",
        group, datasets.front(), datasets.size() - 1, shape_text(file.describe(datasets.front()).shape),
        python_of_members(file, group, labels, 0)));
  reject_samples_in_groups(file, group, groups);
}

void reject_scattered_inside(const DataFile& file, const std::string& group, bool columns, int depth) {
  constexpr size_t most_groups = 4;  // beside each other that are looked into
  const std::vector<std::string> groups = groups_in(file, group);
  if (groups.size() > most_groups || depth == deepest) return;
  for (const std::string& inner : groups) {
    reject_scattered(file, inner, columns);
    reject_scattered_inside(file, inner, columns, depth + 1);
  }
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
  reject_scattered(file, group, true);
}

void reject_scattered_rows(const DataFile& file, const std::vector<std::string>& candidates) {
  constexpr size_t many = 16;
  reject_scattered_rows(file, "/");
  if (candidates.empty() || candidates.size() > many)
    reject_scattered_inside(file, "/", candidates.empty(), 0);
}

void reject_blocks_of_pandas(const DataFile& file, const std::vector<std::string>& candidates) {
  const auto is_block = [&](const std::string& path) {
    return is_block_of_pandas(path) && is_in_pandas_group(file, path);
  };
  if (candidates.size() < 2 || !std::ranges::all_of(candidates, is_block)) return;
  const std::string group = candidates.front().substr(0, candidates.front().rfind('/'));
  const std::string name = std::filesystem::path(file.path()).filename().string();
  file.reject(
      fmt::format("{0} is a frame of pandas whose columns are in {1}, by their types; expected a table; "
                  "in Python: import pandas; pandas.read_hdf(\"{2}\", \"{0}\").to_hdf(\"table.h5\", "
                  "key=\"rows\", format=\"table\")",
                  group, join(candidates, " and "), name));
}

void reject_other_contents(const DataFile& file) {
  Walk walk{.file = file};
  walk.into("/", 0);
  if (!walk.sparse_of_matlab.empty()) sparse_paths(file, walk.sparse_of_matlab);
  constexpr int64_t fewest_elements = 16;  // of what looks like rows
  if (walk.largest_size >= fewest_elements)
    file.reject(fmt::format("{} {}", walk.largest, why_no_rows(file, walk.largest)));
}

}  // namespace elbo
