#include "elbo/data/dataset.h"

#include <torch/types.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>

#include "elbo/base/error.h"
#include "elbo/base/memory.h"
#include "elbo/base/text.h"
#include "elbo/data/data_files.h"
#include "elbo/data/holdout.h"
#include "elbo/data/host_chunks.h"
#include "elbo/data/joined_rows.h"
#include "elbo/data/packed_values.h"
#include "elbo/data/sparse_rows.h"
#include "elbo/data/split_paths.h"
#include "elbo/data/stored_split.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

constexpr int64_t minimum_buffer_bytes = 1 << 20;

}  // namespace

void DataOptions::bind(OptionTable& table) {
  table.add_path(
      "data.path", path,
      "HDF5 file (docs/data_format.md), a pattern (shards/*.h5), or several of them separated by commas: "
      "many files are one data set; a resumed run may read the same data from another path");
  table.add_path("data.stage", stage,
                 "folder on a local disk of each host, to which one rank of the host copies the files before "
                 "training; for file systems that are slow with small reads; '$TMPDIR', in single quotes, is "
                 "the value of that variable on each host; a copy that is there already is used again if the "
                 "file is unchanged; empty: no copies");
  table.add("data.train", train, "group of the training split");
  table.add("data.validation", validation, "group of the validation split, if the file has one");
  table.add("data.test", test, "group of the test split, if the file has one");
  table.add("data.x", x,
            "dataset of the rows inside a split's group; an absolute path (/images/raw) names the training "
            "rows in a file of another layout");
  table.add("data.label", label,
            "dataset of the labels inside a split's group, or an absolute path; optional");
  std::vector<std::string> kinds = transform_kinds();
  kinds.insert(kinds.begin(), "auto");
  table.add_choice(
      "data.normalize", normalize, kinds,
      "transform of the values before the networks see them, fitted on the training rows, kept with the "
      "model "
      "and undone in results; bytes: 0…255 to [0, 1]; unit: the least to the largest value to [0, 1]; "
      "standardize: mean 0 and standard deviation 1 of each column, feature or channel; robust: the same by "
      "median and quartiles; log1p: log(1 + x); auto: bytes for images of 8 bits, unit for images with other "
      "values outside of [0, 1], standardize where a mean or deviation is above 10, otherwise none");
  table.add("data.validation_fraction", validation_fraction,
            "fraction of the training rows that is held out for validation if the file has no validation "
            "split, in whole percents; which rows depends on their numbers alone",
            Range::between(0, 0.9));
  table.add_choice("data.binarize", binarize, {"none", "static", "dynamic"},
                   "replaces each value of x in [0, 1] by a Bernoulli sample with that mean; static: one "
                   "sample for each row (Larochelle & Murray 2011); dynamic: a new sample whenever the row "
                   "is used (Salakhutdinov & Murray 2008), but evaluation uses static ones");
  table.add("data.shuffle_buffer_bytes", shuffle_buffer_bytes,
            "bytes of rows that are shuffled together; each rank keeps up to twice as many in memory; a "
            "split of at most this size is shuffled as a whole, and checked before the first step; 0: a "
            "power of two near a sixteenth of the free memory at the start of the run, which run.ini "
            "records; for a larger split the results depend on this value: set it to get the same bits on "
            "another machine",
            Range::at_least(0));
  table.add("data.prefetch", prefetch, "microbatches read ahead for each worker thread",
            Range::between(1, 1024));
}

struct Dataset::State {
  DataOptions options;
  Ranks ranks;
  std::vector<std::unique_ptr<DataFile>> files;
  DataShape shape;
  std::map<std::string, std::shared_ptr<const RowSource>> splits;
  std::vector<SplitPaths> stored;
  int64_t rows_of_first_split = 0;
  mutable std::string fingerprint;

  State(const DataOptions& data_options, Ranks all_ranks)
      : options(data_options), ranks(std::move(all_ranks)) {
    if (options.shuffle_buffer_bytes == 0) options.shuffle_buffer_bytes = default_shuffle_buffer_bytes();
    if (options.shuffle_buffer_bytes < minimum_buffer_bytes)
      usage_error("data.shuffle_buffer_bytes={}: expected at least {}, or 0 to choose it by the free memory",
                  options.shuffle_buffer_bytes, minimum_buffer_bytes);
    for (const std::string& path : data_files(options.path))
      files.push_back(std::make_unique<DataFile>(path, ranks.compute_on_root));
  }

  // Checks that the dataset can hold rows, and describes it.
  static hdf5::DatasetInfo require_rows(const DataFile& file, const std::string& path, size_t minimum_rank) {
    if (hdf5::is_group(file.handle(), path))
      file.reject(fmt::format("{} is a group; expected a dataset", path));
    hdf5::DatasetInfo info = file.describe(path);
    if (!info.numeric()) file.reject(fmt::format("{} holds {}; expected numbers", path, info.type_name));
    if (info.shape.size() < minimum_rank)
      file.reject(fmt::format("{} has the shape {}; expected (rows, …) with at least {} dimensions", path,
                              shape_text(info.shape), minimum_rank));
    for (const int64_t size : info.shape)
      if (size == 0)
        file.reject(fmt::format("{} is empty: its shape is {}; expected at least one row", path,
                                shape_text(info.shape)));
    require_possible_shape(file, path, info);
    return info;
  }

  // The shape in a damaged file may be anything, because chunks that were never written occupy no space.
  static void require_possible_shape(const DataFile& file, const std::string& path,
                                     const hdf5::DatasetInfo& info) {
    constexpr double row_limit = 1e9, bytes_limit = 1e16;
    const auto extent = [&](size_t d) { return static_cast<double>(static_cast<uint64_t>(info.shape[d])); };
    double row = 1;
    for (size_t d = 1; d < info.shape.size(); ++d) row *= extent(d);
    if (row > row_limit)
      file.reject(fmt::format("{} has the shape {}; expected rows of at most {:g} elements", path,
                              shape_text(info.shape), row_limit));
    const double bytes = row * extent(0) * static_cast<double>(info.type_size);
    if (bytes > bytes_limit)
      file.reject(fmt::format("{} has the shape {}, which would be {}; the file is damaged", path,
                              shape_text(info.shape), human_bytes(bytes)));
  }

  // The root attribute kind, "" where there is none.
  static std::string kind_of(const DataFile& file) {
    static const std::vector<std::string> known{"image",  "tabular", "sequence",    "audio",
                                                "tokens", "video",   "interactions"};
    const std::string kind =
        hdf5::read_text_attribute(hdf5::open_group(file.handle(), "/"), "kind").value_or("");
    if (kind.empty() || std::ranges::find(known, kind) != known.end()) return kind;
    const std::string meant = nearest_name(lower_case(kind), known);
    file.reject(
        fmt::format("its root attribute kind is \"{}\"; expected one of {}{}; correct it, or delete it: the "
                    "kind then follows from the shape of the rows",
                    kind, join(known, ", "), meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant)));
  }

  void find_shape(const DataFile& file, const hdf5::DatasetInfo& info, const std::string& path) {
    const std::vector<int64_t> row(info.shape.begin() + 1, info.shape.end());
    shape.integer_x = info.type_class == H5T_INTEGER;
    shape.bytes_x = info.bytes() && !PackedValues(hdf5::open_dataset(file.handle(), path)).scaled();
    shape.kind = kind_of(file);
    if (shape.kind.empty()) {
      const bool images = row.size() == 3 || (row.size() == 2 && info.bytes());
      shape.kind = images ? "image" : row.size() == 1 ? "tabular" : "";
    }
    shape.x = row;
    if (shape.kind == "tokens") find_vocabulary(file, path);
    if (shape.kind != "image") return;
    if (row.size() == 2) shape.x = {1, row[0], row[1]};  // greyscale images without a channel dimension
    if (shape.x.size() != 3)
      file.reject(fmt::format("{} has the shape {}; expected (rows, channels, height, width) for images",
                              path, shape_text(info.shape)));
  }

  void find_vocabulary(const DataFile& file, const std::string& path) {
    if (!shape.integer_x || shape.x.size() != 1)
      file.reject(fmt::format("{} has rows of the shape {}; expected (time) integers for tokens", path,
                              shape_text(shape.x)));
    if (!hdf5::exists(file.handle(), "/vocabulary"))
      file.reject("has tokens but no /vocabulary; expected a dataset with the text of each token");
    shape.tokens = file.describe("/vocabulary").shape.front();
  }

  // The largest label of an integer dataset (N). Throws a usage Error for a negative one.
  static int64_t largest_label(const SplitPaths& paths, int64_t rows) {
    const std::shared_ptr<const RowReader> reader = paths.file->reader(paths.label, torch::kInt64);
    int64_t largest = 0;
    constexpr int64_t piece = 1 << 20;
    for (int64_t first = 0; first < rows; first += piece) {
      torch::Tensor labels = torch::empty({std::min(piece, rows - first)}, torch::kInt64);
      reader->read(first, labels.size(0), labels.mutable_data_ptr());
      const auto lowest = labels.argmin().item<int64_t>();
      if (const auto label = labels[lowest].item<int64_t>(); label < 0)
        paths.file->reject(fmt::format("{} has the label {} in row {}; expected 0 or more", paths.label,
                                       label, first + lowest));
      largest = std::max(largest, labels.max().item<int64_t>());
    }
    return largest;
  }

  // Checks the labels of one file. classes_known: labels must be below shape.classes.
  void find_labels(const SplitPaths& paths, int64_t rows, bool classes_known) {
    const DataFile& file = *paths.file;
    const hdf5::DatasetInfo info = require_rows(file, paths.label, 1);
    if (info.shape.front() != rows)
      file.reject(fmt::format("{} has {} rows, but {} has {}; expected as many labels as rows", paths.label,
                              info.shape.front(), paths.x, rows));
    if (info.type_class == H5T_FLOAT) {
      if (info.shape.size() > 2)
        file.reject(fmt::format("{} has the shape {}; expected (rows) or (rows, k)", paths.label,
                                shape_text(info.shape)));
      const int64_t features = info.shape.size() == 2 ? info.shape[1] : 1;
      if (shape.label_features != 0 && shape.label_features != features)
        file.reject(fmt::format("{} has the shape {}; other labels have {} values per row", paths.label,
                                shape_text(info.shape), shape.label_features));
      shape.label_features = features;
      return;
    }
    if (info.shape.size() != 1)
      file.reject(fmt::format("{} has the shape {}; expected (rows), one integer per row", paths.label,
                              shape_text(info.shape)));
    // elbo convert writes the number of classes; without it, the training labels determine it.
    const auto declared =
        hdf5::read_integer_attribute(hdf5::open_dataset(file.handle(), paths.label), "classes");
    const int64_t largest = largest_label(paths, rows);
    const int64_t limit = declared.value_or(classes_known ? shape.classes : rows_of_first_split);
    if (largest >= limit)
      file.reject(fmt::format("{} has the label {}; expected 0 to {} ({})", paths.label, largest, limit - 1,
                              declared        ? "from its attribute classes"
                              : classes_known ? "from the training split"
                                              : "at most as many classes as rows"));
    if (!classes_known) shape.classes = std::max(shape.classes, declared.value_or(largest + 1));
  }

  // Finds the splits of all files and checks that they agree.
  void open_splits() {
    for (const auto& file : files)
      for (SplitPaths& paths : find_splits(*file, options)) stored.push_back(std::move(paths));
    // Training splits first, because their labels determine the number of classes.
    std::ranges::stable_sort(stored, {}, [](const SplitPaths& paths) {
      return paths.split == "train" ? 0 : paths.split == "validation" ? 1 : 2;
    });
    std::vector<int64_t> rows;
    rows.reserve(stored.size());
    for (const SplitPaths& paths : stored) rows.push_back(check_rows(paths));
    for (size_t i = 0; i < stored.size(); ++i)
      if (stored[i].split == stored.front().split) rows_of_first_split += rows[i];
    for (size_t i = 0; i < stored.size(); ++i) {
      if (stored[i].label.empty() != stored.front().label.empty() && stored[i].split == stored.front().split)
        stored[i].file->reject(
            fmt::format("{} has {}labels, but {} of {} has {}; expected labels in all files or in none",
                        stored[i].x, stored[i].label.empty() ? "no " : "", stored.front().x,
                        stored.front().file->path(), stored.front().label.empty() ? "none" : "some"));
      if (!stored[i].label.empty())
        find_labels(stored[i], rows[i], stored[i].split != stored.front().split && shape.classes > 0);
    }
    for (const SplitPaths& paths : stored)
      if (!splits.contains(paths.split)) splits[paths.split] = open_split(paths.split);
    hold_out_validation();
    if (splits.contains("train")) shape.rows = splits.at("train")->rows();
  }

  // Checks that the rows agree with those of the first split, and returns their number.
  int64_t check_rows(const SplitPaths& paths) {
    if (paths.sparse != stored.front().sparse)
      paths.file->reject(fmt::format("{} has {} rows, but {} has {}; expected the same in all", paths.x,
                                     paths.sparse ? "sparse" : "dense", stored.front().x,
                                     stored.front().sparse ? "sparse" : "dense"));
    if (paths.sparse) {
      const SparseRows rows(*paths.file, paths.x, shape.x.empty() ? 0 : shape.features(), nullptr, 0, {});
      shape.x = {rows.features()};
      shape.kind = "interactions";
      return rows.rows();
    }
    const hdf5::DatasetInfo info = require_rows(*paths.file, paths.x, 2);
    if (shape.x.empty()) find_shape(*paths.file, info, paths.x);
    const SplitPaths& first = stored.front();
    const hdf5::DatasetInfo first_info = first.file->describe(first.x);
    if (info.row_elements() != shape.features() || (info.type_class == H5T_INTEGER) != shape.integer_x ||
        info.bytes() != first_info.bytes())
      paths.file->reject(fmt::format(
          "{} has rows of shape {} and type {}, but {} has {} and {}{}; expected the same in all", paths.x,
          shape_text(std::span(info.shape).subspan(1)), info.type_name, first.x, shape_text(shape.x),
          first_info.type_name, paths.file == first.file ? "" : " in " + first.file->path()));
    return info.shape.front();
  }

  std::shared_ptr<const RowSource> open_split(const std::string& split) const {
    const auto cache = std::make_shared<ChunkCache>(2 * options.shuffle_buffer_bytes);
    std::vector<std::shared_ptr<const RowSource>> parts;
    int64_t chunk_bytes = 0, bytes = 0;  // of the largest chunk; of all rows
    const auto add = [&](const auto& part) {
      chunk_bytes = std::max(chunk_bytes, part->chunk_bytes());
      bytes += part->rows() * part->bytes_per_row();
      parts.push_back(part);
    };
    for (const SplitPaths& paths : stored) {
      const auto number = static_cast<int64_t>(parts.size());
      if (paths.split == split && paths.sparse)
        add(std::make_shared<SparseRows>(*paths.file, paths.x, shape.features(), cache, number,
                                         options.values));
      if (paths.split == split && !paths.sparse)
        add(std::make_shared<StoredSplit>(*paths.file, cache,
                                          StoredSplitOptions{.x = paths.x,
                                                             .label = paths.label,
                                                             .row_shape = shape.x,
                                                             .tokens = shape.tokens,
                                                             .classes = shape.classes,
                                                             .labels_bytes = options.shuffle_buffer_bytes,
                                                             .length = paths.length,
                                                             .number = number}));
    }
    // Other splits are not shared: an evaluation reads each row once, on one rank.
    if (split == "train" && chunk_bytes > 0) share_chunks(*cache, chunk_bytes, bytes);
    return parts.size() == 1 ? parts.front() : std::make_shared<JoinedRows>(std::move(parts));
  }

  void share_chunks(ChunkCache& cache, int64_t chunk_bytes, int64_t bytes) const {
    if (!ranks.share) return;
    // As many slots as the split has chunks, including the partial last chunk of each file, but at most two
    // shuffle buffers. With fewer than the minimum, ranks that are not in step would evict each other's
    // chunks.
    constexpr int64_t minimum = 4;
    const int64_t all = bytes / chunk_bytes + 1 + std::ssize(files);
    const int64_t slots = std::min(all, std::max(minimum, 2 * options.shuffle_buffer_bytes / chunk_bytes));
    if (const std::shared_ptr<void> memory = ranks.share(HostChunks::bytes(slots, chunk_bytes),
                                                         [&](void* raw) { HostChunks::prepare(raw, slots); }))
      cache.share(std::make_shared<HostChunks>(memory, slots, chunk_bytes, ranks.timeout));
  }

  void hold_out_validation() {
    const int64_t percent = std::lround(options.validation_fraction * 100);
    if (percent == 0 && options.validation_fraction > 0)
      usage_error("data.validation_fraction={:g}: is 0 in whole percents; expected 0, or at least 0.01",
                  options.validation_fraction);
    if (percent == 0 || !splits.contains("train") || splits.contains("validation")) return;
    const std::shared_ptr<const RowSource> all = splits["train"];
    splits["train"] = std::make_shared<Holdout>(all, percent, Holdout::Part::training);
    splits["validation"] = std::make_shared<Holdout>(all, percent, Holdout::Part::validation);
    if (splits["validation"]->rows() == 0)
      usage_error("data.validation_fraction={:g}: holds out none of {} rows; expected a larger fraction",
                  options.validation_fraction, all->rows());
  }
};

int64_t default_shuffle_buffer_bytes() {
  constexpr int64_t mebibyte = 1'048'576;
  const auto bytes = static_cast<uint64_t>(std::clamp(free_memory() / 16, 64 * mebibyte, 16'384 * mebibyte));
  return static_cast<int64_t>(std::bit_floor(bytes));
}

Dataset::Dataset(const DataOptions& options, Ranks ranks) {
  const auto guard = hdf5::lock();
  state_ = std::make_unique<State>(options, std::move(ranks));
  state_->open_splits();
}

Dataset::~Dataset() = default;
Dataset::Dataset(Dataset&&) noexcept = default;

const DataShape& Dataset::shape() const { return state_->shape; }

void Dataset::set_in_unit_interval(bool in_unit_interval) {
  state_->shape.in_unit_interval = in_unit_interval;
}

void Dataset::set_transform(const Transform& transform, const ValueRule& rule) {
  for (auto& [name, rows] : state_->splits)
    if (!state_->stored.front().sparse) rows = std::make_shared<TransformedRows>(rows, transform, rule);
}

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
    usage_error("{}: has no {} split, only {}", state_->options.path, split, join(splits(), ", "));
  return *found->second;
}

int64_t Dataset::shuffle_buffer_bytes() const { return state_->options.shuffle_buffer_bytes; }

std::vector<std::string> Dataset::unwritten_rows() const {
  std::vector<std::string> all;
  for (const auto& file : state_->files)
    for (std::string& sentence : file->unwritten_rows()) all.push_back(std::move(sentence));
  return all;
}

std::string Dataset::fingerprint() const {
  const auto guard = hdf5::lock();
  if (state_->fingerprint.empty()) state_->fingerprint = fingerprint_of(state_->stored);
  return state_->fingerprint;
}

Vocabulary Dataset::vocabulary() const {
  if (shape().tokens == 0) return {};
  const auto lock = hdf5::lock();
  return {hdf5::read_texts(hdf5::open_dataset(state_->files.front()->handle(), "/vocabulary")),
          attribute("tokens")};
}

std::string Dataset::attribute(const std::string& name) const {
  return hdf5::read_text_attribute(hdf5::open_group(state_->files.front()->handle(), "/"), name).value_or("");
}

}  // namespace elbo
