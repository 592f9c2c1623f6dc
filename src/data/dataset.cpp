#include "data/dataset.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "data/hdf5.h"
#include "data/held_out.h"
#include "data/row_reader.h"
#include "data/stored_split.h"

namespace elbo {
namespace {

// What lies where in the file for one split.
struct SplitPaths {
  std::string split, x, label;
};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::vector<std::string> sizes;
  sizes.reserve(shape.size());
  for (const int64_t size : shape) sizes.push_back(std::to_string(size));
  return "(" + join(sizes, ", ") + ")";
}

bool is_bytes(const hdf5::DatasetInfo& info) {
  return info.type_class == H5T_INTEGER && info.type_size == 1 && !info.is_signed;
}

std::string path_in(const std::string& group, const std::string& name) {
  return name.starts_with('/') ? name : (group.starts_with('/') ? "" : "/") + group + "/" + name;
}

}  // namespace

void DataOptions::bind(OptionTable& table) {
  table.add("data.path", path, "HDF5 file (docs/data_format.md)");
  table.add("data.train", train, "group of the training split");
  table.add("data.validation", validation, "group of the validation split, if the file has one");
  table.add("data.test", test, "group of the test split, if the file has one");
  table.add("data.x", x,
            "dataset of the rows inside a split's group; an absolute path (/images/raw) names the training "
            "rows of a file of any other layout");
  table.add("data.label", label, "dataset of the labels, likewise; need not be there");
  table.add("data.validation_fraction", validation_fraction,
            "share of the training rows that is held out for validation where the file has no such split, "
            "in whole percents",
            Range::between(0, 0.9));
  table.add_choice("data.binarize", binarize, {"none", "static", "dynamic"},
                   "draw each value of x in [0, 1] as 0 or 1 with that probability: static, one draw for "
                   "each row; dynamic, a new one whenever a row comes (test rows: always static)");
  table.add(
      "data.window_bytes", window_bytes,
      "bytes of rows that are shuffled with one another, and kept in memory twice; data sets up to that "
      "size are shuffled whole",
      Range::at_least(1 << 20));
  table.add("data.prefetch", prefetch, "microbatches read ahead, for each worker thread",
            Range::between(1, 1024));
}

struct Dataset::State {
  DataOptions options;
  hdf5::Handle file;
  std::shared_ptr<const RawFile> raw;
  DataShape shape;
  std::map<std::string, std::shared_ptr<const RowSource>> splits;
  std::vector<SplitPaths> stored;
  mutable std::string fingerprint;

  explicit State(const DataOptions& given)
      : options(given), file(hdf5::open_file(given.path)), raw(std::make_shared<RawFile>(given.path)) {}

  [[noreturn]] void refuse(const std::string& what) const { usage_error("{}: {}", options.path, what); }

  // The names of what could have been meant.
  std::string contents() const {
    std::vector<std::string> names;
    for (const std::string& name : hdf5::list(file, "/")) {
      if (!hdf5::is_group(file, "/" + name)) {
        names.push_back("/" + name);
        continue;
      }
      for (const std::string& inner : hdf5::list(file, "/" + name))
        names.push_back(fmt::format("/{}/{}", name, inner));
    }
    if (names.size() > 12) {
      names.resize(12);
      names.emplace_back("…");
    }
    return names.empty() ? "nothing" : join(names, ", ");
  }

  std::vector<SplitPaths> find_splits() const {
    const auto label_if_there = [&](const std::string& path) {
      return hdf5::exists(file, path) ? path : std::string();
    };
    if (options.x.starts_with('/')) {
      if (!hdf5::exists(file, options.x))
        refuse(fmt::format("there is no dataset {} (data.x); the file holds {}", options.x, contents()));
      return {{"train", options.x, options.label.starts_with('/') ? label_if_there(options.label) : ""}};
    }
    std::vector<SplitPaths> found;
    for (const auto& [split, group] :
         {std::pair{"train", options.train}, {"validation", options.validation}, {"test", options.test}}) {
      const std::string root = path_in("", group).substr(group.starts_with('/') ? 0 : 1);
      if (!hdf5::is_group(file, root)) continue;
      const std::string x = path_in(root, options.x);
      if (!hdf5::exists(file, x))
        refuse(
            fmt::format("the group {} has no dataset {}; name the right one with data.x (the file holds {})",
                        root, options.x, contents()));
      found.push_back({split, x, label_if_there(path_in(root, options.label))});
    }
    if (found.empty())
      refuse(fmt::format(
          "there is none of the groups {}, {}, {}; name the rows with data.x=/path/in/file (the file "
          "holds {})",
          options.train, options.validation, options.test, contents()));
    return found;
  }

  // The dataset's description, if rows can be taken from it.
  hdf5::DatasetInfo require_rows(const std::string& path, size_t least_rank) const {
    if (hdf5::is_group(file, path)) refuse(fmt::format("{} is a group; expected a dataset", path));
    hdf5::DatasetInfo info = hdf5::describe(hdf5::open_dataset(file, path));
    if (!info.numeric()) refuse(fmt::format("{} holds {}; expected numbers", path, info.type_name));
    if (info.shape.size() < least_rank)
      refuse(fmt::format("{} has the shape {}; expected (rows, …) with at least {} dimensions", path,
                         shape_text(info.shape), least_rank));
    for (const int64_t size : info.shape)
      if (size == 0)
        refuse(fmt::format("{} is empty: its shape is {}; expected one row at least", path,
                           shape_text(info.shape)));
    return info;
  }

  void find_shape(const hdf5::DatasetInfo& info, const std::string& path) {
    const std::vector<int64_t> row(info.shape.begin() + 1, info.shape.end());
    shape.integer_x = info.type_class == H5T_INTEGER;
    shape.kind = hdf5::read_text_attribute(hdf5::open_group(file, "/"), "kind").value_or("");
    if (shape.kind.empty()) {
      const bool pictures = row.size() == 3 || (row.size() == 2 && is_bytes(info));
      shape.kind = pictures ? "image" : row.size() == 1 ? "tabular" : "";
    }
    shape.x = row;
    if (shape.kind != "image") return;
    if (row.size() == 2) shape.x = {1, row[0], row[1]};  // grey pictures without an axis for channels
    if (shape.x.size() != 3)
      refuse(fmt::format("{} has the shape {}; expected (rows, channels, height, width) for images", path,
                         shape_text(info.shape)));
  }

  // Largest label of a dataset of integers (N); throws for negative ones.
  int64_t largest_label(const std::string& path, int64_t rows) const {
    const std::unique_ptr<RowReader> reader = read_as(path, torch::kInt64);
    int64_t largest = 0;
    constexpr int64_t piece = 1 << 20;
    for (int64_t first = 0; first < rows; first += piece) {
      torch::Tensor labels = torch::empty({std::min(piece, rows - first)}, torch::kInt64);
      reader->read(first, labels.size(0), labels.mutable_data_ptr());
      const auto lowest = labels.argmin().item<int64_t>();
      if (const auto label = labels[lowest].item<int64_t>(); label < 0)
        refuse(
            fmt::format("{} holds the label {} in row {}; expected 0 or more", path, label, first + lowest));
      largest = std::max(largest, labels.max().item<int64_t>());
    }
    return largest;
  }

  void find_labels(const SplitPaths& paths, int64_t rows) {
    const hdf5::DatasetInfo info = require_rows(paths.label, 1);
    if (info.shape.front() != rows)
      refuse(fmt::format("{} has {} rows, {} has {}; expected as many labels as rows", paths.label,
                         info.shape.front(), paths.x, rows));
    if (info.type_class == H5T_FLOAT) {
      if (info.shape.size() > 2)
        refuse(fmt::format("{} has the shape {}; expected (rows) or (rows, k)", paths.label,
                           shape_text(info.shape)));
      shape.label_features = info.shape.size() == 2 ? info.shape[1] : 1;
      return;
    }
    if (info.shape.size() != 1)
      refuse(fmt::format("{} has the shape {}; expected (rows), one integer a row", paths.label,
                         shape_text(info.shape)));
    // The converters write how many classes there are; otherwise the training labels tell.
    const auto declared = hdf5::read_integer_attribute(hdf5::open_dataset(file, paths.label), "classes");
    const int64_t largest = largest_label(paths.label, rows);
    const int64_t limit = declared.value_or(shape.classes > 0 ? shape.classes : rows);
    if (largest >= limit)
      refuse(fmt::format("{} holds the label {}; expected 0 to {} ({})", paths.label, largest, limit - 1,
                         declared            ? "its attribute classes"
                         : shape.classes > 0 ? "the training split's classes"
                                             : "there cannot be more classes than rows"));
    if (shape.classes == 0) shape.classes = declared.value_or(largest + 1);
  }

  void open_splits() {
    stored = find_splits();
    for (const SplitPaths& paths : stored) {
      const hdf5::DatasetInfo info = require_rows(paths.x, 2);
      if (shape.x.empty()) find_shape(info, paths.x);
      int64_t elements = 1;
      for (size_t i = 1; i < info.shape.size(); ++i) elements *= info.shape[i];
      if (elements != shape.features() || (info.type_class == H5T_INTEGER) != shape.integer_x)
        refuse(fmt::format(
            "{} has rows of the shape {} and type {}; the rows of {} have {}: expected all splits alike",
            paths.x, shape_text({info.shape.begin() + 1, info.shape.end()}), info.type_name, stored.front().x,
            shape_text(shape.x)));
      if (!paths.label.empty()) find_labels(paths, info.shape.front());
    }
    for (const SplitPaths& paths : stored)
      splits[paths.split] = std::make_shared<StoredSplit>(
          file, raw,
          StoredSplitOptions{.file = options.path,
                             .x = paths.x,
                             .label = paths.label,
                             .row_shape = shape.x,
                             .in_unit_interval = shape.kind == "image" || options.binarize != "none",
                             .classes = shape.classes,
                             .window_bytes = options.window_bytes});
    hold_out_validation();
  }

  void hold_out_validation() {
    const int64_t percent = std::lround(options.validation_fraction * 100);
    if (percent == 0 || !splits.contains("train") || splits.contains("validation")) return;
    const std::shared_ptr<const RowSource> all = splits["train"];
    splits["train"] = std::make_shared<HeldOut>(all, percent, HeldOut::Part::training);
    splits["validation"] = std::make_shared<HeldOut>(all, percent, HeldOut::Part::validation);
    if (splits["validation"]->rows() == 0)
      usage_error("data.validation_fraction={:g}: holds out none of {} rows; expected a larger share",
                  options.validation_fraction, all->rows());
  }

  void hash_rows(Sha256& hash, const std::string& path) const {
    const hdf5::DatasetInfo info = hdf5::describe(hdf5::open_dataset(file, path));
    hash.update(fmt::format("{} {} {}\n", path, shape_text(info.shape), info.type_name));
    const torch::ScalarType type = info.type_class == H5T_FLOAT ? torch::kFloat32
                                   : is_bytes(info)             ? torch::kUInt8
                                                                : torch::kInt64;
    const std::unique_ptr<RowReader> reader = read_as(path, type);
    constexpr int64_t samples = 64;
    const int64_t rows = info.shape.front(), taken = std::min(rows, samples);
    const torch::Tensor row = torch::empty(at::IntArrayRef(info.shape).slice(1), type);
    for (int64_t i = 0; i < taken; ++i) {
      reader->read(i * rows / taken, 1, row.mutable_data_ptr());
      hash.update(row.const_data_ptr(), row.nbytes());
    }
  }

  std::unique_ptr<RowReader> read_as(const std::string& path, torch::ScalarType type) const {
    return make_row_reader(raw, hdf5::open_dataset(file, path), type);
  }
};

Dataset::Dataset(const DataOptions& options) {
  const auto guard = hdf5::lock();
  state_ = std::make_unique<State>(options);
  state_->open_splits();
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;

const DataShape& Dataset::shape() const { return state_->shape; }

std::vector<std::string> Dataset::splits() const {
  std::vector<std::string> names;
  for (const char* name : {"train", "validation", "test"})
    if (has(name)) names.emplace_back(name);
  return names;
}

bool Dataset::has(const std::string& split) const { return state_->splits.contains(split); }

const RowSource& Dataset::split(const std::string& split) const {
  const auto found = state_->splits.find(split);
  if (found == state_->splits.end())
    usage_error("{}: has no {} split; it has {}", state_->options.path, split, join(splits(), ", "));
  return *found->second;
}

std::string Dataset::fingerprint() const {
  const auto guard = hdf5::lock();
  if (state_->fingerprint.empty()) {
    Sha256 hash;
    for (const SplitPaths& paths : state_->stored) {
      state_->hash_rows(hash, paths.x);
      if (!paths.label.empty()) state_->hash_rows(hash, paths.label);
    }
    state_->fingerprint = hash.hex();
  }
  return state_->fingerprint;
}

std::string Dataset::attribute(const std::string& name) const {
  return hdf5::read_text_attribute(hdf5::open_group(state_->file, "/"), name).value_or("");
}

}  // namespace elbo
