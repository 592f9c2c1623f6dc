#include "elbo/data/split_paths.h"

#include <torch/types.h>

#include <algorithm>

#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/data/sparse_rows.h"

namespace elbo {
namespace {

std::string path_in(const std::string& group, const std::string& name) {
  return name.starts_with('/') ? name : (group.starts_with('/') ? "" : "/") + group + "/" + name;
}

// The objects in the file, for messages.
std::string contents(const DataFile& file) {
  std::vector<std::string> names;
  for (const std::string& name : hdf5::list(file.handle(), "/")) {
    if (hdf5::leads_nowhere(file.handle(), "/" + name) || !hdf5::is_group(file.handle(), "/" + name)) {
      names.push_back("/" + name);
      continue;
    }
    for (const std::string& inner : hdf5::list(file.handle(), "/" + name))
      names.push_back(fmt::format("/{}/{}", name, inner));
  }
  if (names.size() > 12) {
    names.resize(12);
    names.emplace_back("…");
  }
  return names.empty() ? "nothing" : join(names, ", ");
}

std::string path_if_exists(const DataFile& file, const std::string& path) {
  return hdf5::exists(file.handle(), path) ? path : "";
}

SplitPaths paths_in_group(const DataFile& file, const std::string& split, const std::string& group,
                          const DataOptions& options) {
  SplitPaths paths{.file = &file, .split = split, .x = path_in(group, options.x), .label = "", .length = ""};
  if (hdf5::exists(file.handle(), paths.x)) {
    paths.label = path_if_exists(file, path_in(group, options.label));
    paths.length = path_if_exists(file, path_in(group, "length"));
  } else if (holds_sparse_rows(file, group)) {
    paths.x = group;
    paths.sparse = true;
  } else {
    file.reject(fmt::format("the group {} has no dataset {}; set data.x to the right name (the file has {})",
                            group, options.x, contents(file)));
  }
  return paths;
}

void hash_dataset(Sha256& hash, const DataFile& file, const std::string& path) {
  const hdf5::DatasetInfo info = file.describe(path);
  hash.update(fmt::format("{} {} {}\n", path, shape_text(info.shape), info.type_name));
  const torch::ScalarType type = info.type_class == H5T_FLOAT ? torch::kFloat32
                                 : info.bytes()               ? torch::kUInt8
                                                              : torch::kInt64;
  const std::shared_ptr<const RowReader> reader = file.reader(path, type);
  constexpr int64_t samples = 64;
  const int64_t rows = info.shape.front(), taken = std::min(rows, samples);
  const torch::Tensor row = torch::empty(at::IntArrayRef(info.shape).slice(1), type);
  for (int64_t i = 0; i < taken; ++i) {
    reader->read(i * rows / taken, 1, row.mutable_data_ptr());
    hash.update(row.const_data_ptr(), row.nbytes());
  }
}

}  // namespace

std::vector<std::string> SplitPaths::datasets() const {
  std::vector<std::string> names{x, label, length};
  if (sparse) names = {x + "/offsets", x + "/indices", path_if_exists(*file, x + "/values")};
  std::erase(names, "");
  return names;
}

std::vector<SplitPaths> find_splits(const DataFile& file, const DataOptions& options) {
  if (options.x.starts_with('/')) {
    if (!hdf5::exists(file.handle(), options.x))
      file.reject(fmt::format("data.x={}: no such dataset; the file has {}", options.x, contents(file)));
    return {{.file = &file,
             .split = "train",
             .x = options.x,
             .label = options.label.starts_with('/') ? path_if_exists(file, options.label) : "",
             .length = ""}};
  }
  std::vector<SplitPaths> found;
  for (const auto& [split, group] :
       {std::pair{"train", options.train}, {"validation", options.validation}, {"test", options.test}}) {
    const std::string root = group.starts_with('/') ? group : "/" + group;
    if (hdf5::is_group(file.handle(), root)) found.push_back(paths_in_group(file, split, root, options));
  }
  if (found.empty())
    file.reject(
        fmt::format("has none of the groups {}, {}, {}; set data.x=/path/in/file to the dataset of the rows "
                    "(the file has {})",
                    options.train, options.validation, options.test, contents(file)));
  return found;
}

std::string fingerprint_of(const std::vector<SplitPaths>& splits) {
  Sha256 hash;
  for (const SplitPaths& paths : splits)
    for (const std::string& dataset : paths.datasets()) hash_dataset(hash, *paths.file, dataset);
  return hash.hex();
}

}  // namespace elbo
