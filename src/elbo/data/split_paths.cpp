#include "elbo/data/split_paths.h"

#include <torch/types.h>

#include <algorithm>
#include <map>
#include <optional>

#include "elbo/base/sha256.h"
#include "elbo/base/text.h"
#include "elbo/data/file_contents.h"
#include "elbo/data/split_names.h"
#include "elbo/data/why_no_rows.h"

namespace elbo {
namespace {

const DataOptions& default_options() {
  static const DataOptions options;
  return options;
}

std::string path_in(const std::string& group, const std::string& name) {
  if (name.starts_with('/')) return name;
  return (group == "/" ? "" : group.starts_with('/') ? group : "/" + group) + "/" + name;
}

std::string path_if_exists(const DataFile& file, const std::string& path) {
  return hdf5::exists(file.handle(), path) ? path : "";
}

std::string group_of(const std::string& path) { return path.substr(0, std::max<size_t>(1, path.rfind('/'))); }

// The splits of one file, in any of the layouts that are known.
class SplitFinder {
 public:
  SplitFinder(const DataFile& file, const DataOptions& options, std::vector<std::string>& notes)
      : file_(file), options_(options), notes_(notes), is_anndata_(holds_anndata()) {}

  std::vector<SplitPaths> find() {
    if (options_.x.starts_with('/')) return {named_rows(options_.x)};
    if (std::vector<SplitPaths> found = splits_in_groups(); !found.empty()) return found;
    if (std::vector<SplitPaths> found = splits_in_names(); !found.empty()) return found;
    if (const std::string x = path_in("/", options_.x); hdf5::exists(file_.handle(), x))
      return {only_rows(x)};
    if (is_anndata_ && hdf5::exists(file_.handle(), "/X")) return {only_rows("/X")};
    if (const std::string group = group_of_10x(); !group.empty()) return {only_rows(group)};
    if (is_of_loom(file_, "/matrix")) return {only_rows("/matrix")};
    const std::vector<std::string> candidates = row_candidates(file_, "/");
    if (candidates.size() == 1 && options_.x == default_options().x) return {only_rows(candidates.front())};
    reject(candidates);
  }

 private:
  template <typename... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    notes_.push_back(file_.path() + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  bool exists(const std::string& path) const { return hdf5::exists(file_.handle(), path); }
  bool is_group(const std::string& path) const { return hdf5::is_group(file_.handle(), path); }

  // ---- rows that are named, or the only ones ----

  SplitPaths named_rows(const std::string& path) {
    if (!exists(path))
      file_.reject(fmt::format("data.x={}: no such dataset; the file has {}", path, contents(file_)));
    SplitPaths paths = rows_at("train", path);
    if (options_.label != default_options().label) paths.label = label_named(options_.label);
    return paths;
  }

  SplitPaths only_rows(const std::string& path) {
    SplitPaths paths = rows_at("train", path);
    paths.length = length_beside(path);
    paths.label = options_.label == default_options().label && !is_anndata_ ? label_beside(paths)
                                                                            : label_named(options_.label);
    note("the rows are {}{} (data.x={})", path, paths.label.empty() ? "" : ", their labels " + paths.label,
         path);
    return paths;
  }

  // A dataset, or a group of sparse rows.
  SplitPaths rows_at(const std::string& split, const std::string& path) {
    SplitPaths paths{.file = &file_, .split = split, .x = path, .label = ""};
    if (is_group(path)) {
      paths.sparse = sparse_paths(file_, path);
    } else if (const std::string reason = why_no_rows(file_, path); !reason.empty()) {
      file_.reject(path + " " + reason);
    } else if (const std::vector<std::string> others = fields_left_out(file_, path); !others.empty()) {
      note("{} of {} are left out: they are not numbers, or stand for dates or categories",
           join(others, ", "), path);
    }
    paths.names = names_of_rows(path);
    paths.of_cells = is_anndata_ || is_of_loom(file_, path);
    return paths;
  }

  // An absolute path, or one in the root or in obs of AnnData; "" if there is none.
  std::string label_named(const std::string& name) const {
    for (const std::string& path : {path_in("/", name), path_in("/obs", name)})
      if (exists(path)) return path;
    return "";
  }

  std::string label_beside(const SplitPaths& paths) const {
    if (paths.is_sparse()) return path_if_exists(file_, path_in(paths.x, options_.label));
    const std::string group = group_of(paths.x);
    if (std::string named = path_in(group, options_.label); exists(named)) return named;
    const std::vector<int64_t> shape = describe_rows(file_, {.path = paths.x}).shape;
    const std::string label = labels_in(file_, group, shape.front());
    return label.empty() && is_of_matlab(file_, paths.x) ? labels_in(file_, group, shape.back()) : label;
  }

  // Of a file whose attribute says that rows are sequences: others may call anything a length.
  std::string length_beside(const std::string& x) const {
    const auto kind = hdf5::read_text_attribute(hdf5::open_group(file_.handle(), "/"), "kind");
    const bool sequences = kind == "sequence" || kind == "tokens" || kind == "video";
    return sequences ? path_if_exists(file_, path_in(group_of(x), "length")) : "";
  }

  // ---- a group for each split ----

  std::vector<SplitPaths> splits_in_groups() {
    std::vector<SplitPaths> found;
    const std::string options[] = {options_.train, options_.validation, options_.test};
    const std::string usual[] = {default_options().train, default_options().validation,
                                 default_options().test};
    for (size_t i = 0; i < std::size(options); ++i) {
      std::string group = path_in("/", options[i]);
      if (!is_group(group)) group = options[i] == usual[i] ? group_meant(usual[i]) : "";
      if (!group.empty()) found.push_back(paths_in_group(usual[i], group));
    }
    return found;
  }

  // The group whose name is another word for the split.
  std::string group_meant(const std::string& split) {
    std::string found;
    for (const std::string& name : hdf5::list(file_.handle(), "/")) {
      if (split_meant(name) != split || !is_group("/" + name) || !may_hold_rows("/" + name)) continue;
      if (!found.empty())
        file_.reject(fmt::format("/{} and {}: either could be the {} split; name one with data.{}", name,
                                 found, split, split));
      found = "/" + name;
    }
    if (!found.empty())
      note("{} is taken as the {} split (data.{}={})", found, split, split, found.substr(1));
    return found;
  }

  bool may_hold_rows(const std::string& group) const {
    return exists(path_in(group, options_.x)) || holds_sparse_rows(file_, group) ||
           !row_candidates(file_, group).empty();
  }

  SplitPaths paths_in_group(const std::string& split, const std::string& group) {
    const std::string x = path_in(group, options_.x);
    SplitPaths paths;
    if (exists(x)) {
      paths = rows_at(split, x);
    } else if (holds_sparse_rows(file_, group)) {
      paths = rows_at(split, group);
    } else {
      paths = rows_at(split, rows_meant(group));
      note("the rows of {} are {} (data.x={})", group, paths.x, paths.x.substr(group.size() + 1));
    }
    paths.length = path_if_exists(file_, path_in(group, "length"));
    paths.label = path_if_exists(file_, path_in(group, options_.label));
    if (paths.label.empty() && options_.label == default_options().label) {
      paths.label = label_beside(paths);
      if (!paths.label.empty()) note("the labels of {} are {}", group, paths.label);
    }
    return paths;
  }

  // The dataset of rows in the group of a split that has no data.x.
  std::string rows_meant(const std::string& group) const {
    std::vector<std::string> found;
    if (options_.x == default_options().x)
      for (const std::string& path : row_candidates(file_, group))
        if (group_of(path) == group) found.push_back(path);
    if (found.size() == 1) return found.front();
    if (found.empty()) reject_scattered_rows(file_, group);
    file_.reject(fmt::format("the group {} has no dataset {}; set data.x to the right name (the file has {})",
                             group, options_.x, contents(file_)));
  }

  // ---- a dataset for each split: x_train, y_train, x_test, … ----

  std::vector<SplitPaths> splits_in_names() {
    std::vector<std::string> groups{"/"};
    for (const std::string& name : hdf5::list(file_.handle(), "/"))
      if (is_group("/" + name)) groups.push_back("/" + name);
    for (const std::string& group : groups)
      if (std::vector<SplitPaths> found = splits_named_in(group); !found.empty()) return found;
    return {};
  }

  std::vector<SplitPaths> splits_named_in(const std::string& group) {
    std::map<std::pair<std::string, ArrayRole>, std::string> arrays;
    for (const std::string& path : datasets_in(file_, group)) {
      const auto [split, role] = array_meant(path.substr(path.rfind('/') + 1));
      if (role == ArrayRole::none) continue;
      std::string& found = arrays[{split, role}];
      if (!found.empty() && role == ArrayRole::rows)
        file_.reject(
            fmt::format("{} and {}: either could be the rows of the {} split; name the training rows "
                        "with data.x",
                        found, path, split));
      if (!found.empty()) note("{} is left out: the labels of the {} split are {}", path, split, found);
      if (!found.empty()) continue;
      found = path;
    }
    std::vector<SplitPaths> found;
    if (!arrays.contains({"train", ArrayRole::rows})) return found;
    for (const char* split : {"train", "validation", "test"}) {
      const auto x = arrays.find({split, ArrayRole::rows});
      if (x == arrays.end()) continue;
      const auto label = arrays.find({split, ArrayRole::labels});
      found.push_back(rows_at(split, x->second));
      if (label != arrays.end()) found.back().label = label->second;
      note("the {} split is {}{}", split, x->second,
           label == arrays.end() ? "" : ", its labels " + label->second);
    }
    return found;
  }

  // ---- single-cell biology ----

  // By its attribute, or, of early versions, by its groups.
  bool holds_anndata() const {
    const auto kind = hdf5::read_text_attribute(hdf5::open_group(file_.handle(), "/"), "encoding-type");
    return kind == "anndata" || (exists("/X") && exists("/obs") && exists("/var"));
  }

  // 10x Genomics: a matrix whose columns are cells, by columns, which is a row for each cell.
  std::string group_of_10x() const {
    for (const std::string& name : hdf5::list(file_.handle(), "/"))
      if (exists("/" + name + "/barcodes") && exists("/" + name + "/indptr")) return "/" + name;
    return "";
  }

  // Of the cells of AnnData and 10x, or `name` beside the rows, or the users of interactions.
  std::string names_of_rows(const std::string& x) const {
    const std::string beside = path_in(is_group(x) ? x : group_of(x), "name");
    for (const std::string& path : {beside, std::string("/users")})
      if (is_list_of_texts(path) && file_.describe(path).shape.front() == rows_of(x)) return path;
    if (exists(x + "/barcodes")) return x + "/barcodes";
    if (is_of_loom(file_, x)) return path_if_exists(file_, "/col_attrs/CellID");
    if (!is_anndata_ || !is_group("/obs")) return "";
    const auto index = hdf5::read_text_attribute(hdf5::open_group(file_.handle(), "/obs"), "_index");
    return path_if_exists(file_, "/obs/" + index.value_or("_index"));
  }

  bool is_list_of_texts(const std::string& path) const {
    if (!exists(path) || is_group(path)) return false;
    const hdf5::DatasetInfo info = file_.describe(path);
    return info.type_class == H5T_STRING && info.shape.size() == 1;
  }

  int64_t rows_of(const std::string& x) const {
    if (!is_group(x)) return file_.describe(x).shape.empty() ? 0 : file_.describe(x).shape.front();
    const SparsePaths sparse = sparse_paths(file_, x);
    return file_.describe(sparse.offsets).shape.front() - 1;
  }

  // ---- nothing that can be used ----

  [[noreturn]] void reject(const std::vector<std::string>& candidates) const {
    if (exists("/parameters") && hdf5::has_attribute(hdf5::open_group(file_.handle(), "/"), "elbo_version"))
      file_.reject("is a checkpoint, not a data set; elbo train RUN --resume continues its run");
    reject_blocks_of_pandas(file_, candidates);
    reject_scattered_rows(file_, candidates);
    if (candidates.size() > 1) {
      std::vector<std::string> lines;
      lines.reserve(candidates.size());
      for (const std::string& path : candidates)
        lines.push_back(fmt::format("{} {}", path, shape_text(file_.describe(path).shape)));
      if (lines.size() > 12) {
        lines.resize(12);
        lines.emplace_back("…");
      }
      file_.reject(fmt::format("has {} datasets that could be the rows; name one with data.x=PATH: {}",
                               candidates.size(), join(lines, ", ")));
    }
    reject_other_contents(file_);
    file_.reject(
        fmt::format("has none of the groups {}, {}, {}; set data.x=/path/in/file to the dataset of the rows "
                    "(the file has {})",
                    options_.train, options_.validation, options_.test, contents(file_)));
  }

  const DataFile& file_;
  const DataOptions& options_;
  std::vector<std::string>& notes_;
  bool is_anndata_;
};

void hash_texts(Sha256& hash, const DataFile& file, const std::string& path) {
  const std::vector<std::string> texts = hdf5::read_texts(hdf5::open_dataset(file.handle(), path));
  hash.update(fmt::format("{} ({}) texts\n", path, texts.size()));
  constexpr size_t samples = 64;
  const size_t taken = std::min(texts.size(), samples);
  for (size_t i = 0; i < taken; ++i) hash.update(texts[i * texts.size() / taken] + "\n");
}

void hash_dataset(Sha256& hash, const DataFile& file, const RowView& view) {
  if (file.describe(view.path).type_class == H5T_STRING) return hash_texts(hash, file, view.path);
  const hdf5::DatasetInfo info = describe_rows(file, view);
  hash.update(fmt::format("{} {} {}\n", view.path, shape_text(info.shape), info.type_name));
  const torch::ScalarType type = info.type_class == H5T_FLOAT ? torch::kFloat32
                                 : info.bytes()               ? torch::kUInt8
                                                              : torch::kInt64;
  const std::shared_ptr<const RowReader> reader = open_rows(file, view, type);
  constexpr int64_t samples = 64;
  const int64_t rows = info.shape.front(), taken = std::min(rows, samples);
  const torch::Tensor row = torch::empty(at::IntArrayRef(info.shape).slice(1), type);
  for (int64_t i = 0; i < taken; ++i) {
    reader->read(i * rows / taken, 1, row.mutable_data_ptr());
    hash.update(row.const_data_ptr(), row.nbytes());
  }
}

// What decides the rows of a split and their labels.
std::vector<RowView> views_of(const SplitPaths& paths) {
  std::vector<RowView> views;
  const auto add = [&](const std::string& path) {
    if (!path.empty()) views.push_back({.path = path});
  };
  if (paths.is_sparse()) {
    for (const std::string& path : {paths.sparse.offsets, paths.sparse.indices, paths.sparse.values})
      add(path);
  } else {
    views.push_back({.path = paths.x, .reversed = paths.reversed});
  }
  if (!paths.label.empty())
    add(hdf5::is_group(paths.file->handle(), paths.label) ? paths.label + "/codes" : paths.label);
  add(paths.length);
  return views;
}

}  // namespace

std::vector<SplitPaths> find_splits(const DataFile& file, const DataOptions& options,
                                    std::vector<std::string>& notes) {
  return SplitFinder(file, options, notes).find();
}

std::string fingerprint_of(const std::vector<SplitPaths>& splits) {
  Sha256 hash;
  for (const SplitPaths& paths : splits)
    for (const RowView& view : views_of(paths)) hash_dataset(hash, *paths.file, view);
  return hash.hex();
}

}  // namespace elbo
