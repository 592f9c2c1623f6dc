#include "elbo/data/dataset.h"

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "elbo/base/error.h"
#include "elbo/base/file.h"
#include "elbo/base/text.h"
#include "elbo/data/data_files.h"
#include "elbo/data/decide_view.h"
#include "elbo/data/file_contents.h"
#include "elbo/data/float32_steps.h"
#include "elbo/data/foreign_file.h"
#include "elbo/data/holdout.h"
#include "elbo/data/host_chunks.h"
#include "elbo/data/joined_rows.h"
#include "elbo/data/label_set.h"
#include "elbo/data/packed_values.h"
#include "elbo/data/row_view.h"
#include "elbo/data/sparse_rows.h"
#include "elbo/data/split_paths.h"
#include "elbo/data/stored_split.h"
#include "elbo/hdf5/data_file.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

constexpr int64_t minimum_buffer_bytes = 1 << 20;

}  // namespace

struct Dataset::State {
  DataOptions options;
  Ranks ranks;
  std::vector<std::unique_ptr<DataFile>> files;
  DataShape shape;
  std::map<std::string, std::shared_ptr<const RowSource>> splits;
  std::vector<SplitPaths> stored;
  LabelSet labels;
  std::vector<std::string> notes;
  mutable std::string fingerprint;
  std::function<std::shared_ptr<const RowSource>(std::shared_ptr<const RowSource>)> transformed;
  std::map<std::string, std::shared_ptr<const RowSource>> stored_splits;  // without the transform
  // Opened when they are asked for.
  mutable std::shared_ptr<const RowSource> all_rows, all_stored_rows;
  std::vector<float> missing_values;

  State(const DataOptions& data_options, Ranks all_ranks)
      : options(data_options),
        ranks(std::move(all_ranks)),
        missing_values(named_missing_values(options.missing_value)) {
    if (options.shuffle_buffer_bytes == 0) options.shuffle_buffer_bytes = default_shuffle_buffer_bytes();
    if (options.shuffle_buffer_bytes < minimum_buffer_bytes)
      usage_error("data.shuffle_buffer_bytes={}: expected at least {}, or 0 to choose it by the free memory",
                  options.shuffle_buffer_bytes, minimum_buffer_bytes);
    for (const std::string& path : data_files(options.path)) {
      if (!path.ends_with(".h5"))
        if (const std::string foreign = foreign_file(path); !foreign.empty())
          usage_error("{}: {}", path, foreign);
      files.push_back(std::make_unique<DataFile>(path, ranks.compute_on_root));
    }
  }

  // Describes rows of a possible shape.
  static hdf5::DatasetInfo require_rows(const DataFile& file, const RowView& view) {
    hdf5::DatasetInfo info = describe_rows(file, view);
    require_possible_shape(file, view.path, info);
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

  void find_shape(const SplitPaths& paths, const hdf5::DatasetInfo& info) {
    const DataFile& file = *paths.file;
    const std::vector<int64_t> row(info.shape.begin() + 1, info.shape.end());
    shape.integer_x = info.type_class == H5T_INTEGER;
    shape.bytes_x = info.bytes() && !PackedValues(hdf5::open_dataset(file.handle(), paths.x)).scaled();
    shape.axes = paths.axes;
    shape.kind = kind_of_rows(file, options);
    if (!paths.axes.empty()) shape.kind = are_of_volumes(paths.axes) ? "volume" : "image";
    if (shape.kind.empty() && options.like && is_like(row, *options.like)) shape.kind = options.like->kind;
    if (shape.kind.empty()) {
      const bool images = row.size() == 3;
      const char* const table = paths.of_cells ? "counts" : "tabular";  // sparse or not
      shape.kind = images ? "image" : row.size() == 1 ? table : "";
    }
    shape.x = row;
    if (shape.kind == "tokens") find_vocabulary(file, paths.x);
    if (shape.kind != "image" && shape.kind != "volume") return;
    const size_t dimensions = shape.kind == "image" ? 3 : 4;
    if (row.size() + 1 == dimensions) shape.x.insert(shape.x.begin(), 1);  // without a dimension for channels
    if (shape.x.size() != dimensions)
      file.reject(fmt::format("{} has the shape {}; expected (rows, channels, {}height, width) for {}s",
                              paths.x, shape_text(info.shape), shape.kind == "image" ? "" : "depth, ",
                              shape.kind));
  }

  // A row of a run, or of sequences perhaps another number of steps.
  static bool is_like(std::vector<int64_t> row, const DataShape& like) {
    const bool steps = like.kind == "sequence" || like.kind == "video" || like.kind == "tokens";
    if (steps && row.size() == like.x.size()) row.front() = like.x.front();
    return row == like.x;
  }

  void find_vocabulary(const DataFile& file, const std::string& path) {
    if (!shape.integer_x || shape.x.size() != 1)
      file.reject(fmt::format("{} has rows of the shape {}; expected (time) integers for tokens", path,
                              shape_text(shape.x)));
    if (!hdf5::exists(file.handle(), "/vocabulary"))
      file.reject("has tokens but no /vocabulary; expected a dataset with the text of each token");
    shape.tokens = file.describe("/vocabulary").shape.front();
  }

  // See Dataset::require_labels().
  void require_labels(const std::string& split) const {
    for (size_t i = 0; i < stored.size(); ++i) {
      const SplitPaths& paths = stored[i];
      const bool held_out = split == "validation" && paths.split == "train" && !holds_split("validation");
      if (split != "all" && paths.split != split && !held_out) continue;
      if (const std::string problem = labels.problem_of(paths.split); !problem.empty())
        usage_error("{}", problem);
      if (paths.label.empty())
        paths.file->reject(fmt::format("{} has no labels, which the model is conditioned on", paths.x));
      labels.require_valid(i, paths);
    }
  }

  bool holds_split(const std::string& split) const {
    return std::ranges::any_of(stored, [&](const SplitPaths& paths) { return paths.split == split; });
  }

  // Throws a usage Error for a group or a dataset of labels that the options name and no file has.
  void require_what_is_named() const {
    if (!options.requires_named) return;
    const DataOptions usual;
    const auto missing = [&](const std::string& key, const std::string& name) {
      files.front()->reject(fmt::format("data.{}={}: is not in {}; the file has {}", key, name,
                                        files.size() > 1 ? "this or another of the files" : "the file",
                                        contents(*files.front())));
    };
    if (!options.x.starts_with('/')) {
      if (options.train != usual.train && !holds_split("train")) missing("train", options.train);
      if (options.validation != usual.validation && !holds_split("validation"))
        missing("validation", options.validation);
      if (options.test != usual.test && !holds_split("test")) missing("test", options.test);
    }
    if (options.label != usual.label &&
        std::ranges::all_of(stored, [](const auto& paths) { return paths.label.empty(); }))
      missing("label", options.label);
  }

  // Finds the splits of all files and checks that they agree.
  void open_splits() {
    for (const auto& file : files)
      for (SplitPaths& paths : find_splits(*file, options, notes)) stored.push_back(std::move(paths));
    // Training splits first, because their labels determine the number of classes.
    std::ranges::stable_sort(stored, {}, [](const SplitPaths& paths) {
      return paths.split == "train" ? 0 : paths.split == "validation" ? 1 : 2;
    });
    require_what_is_named();
    std::vector<int64_t> rows;
    rows.reserve(stored.size());
    for (SplitPaths& paths : stored) rows.push_back(check_rows(paths));
    require_one_meaning();
    decide_masks();
    labels = open_label_set(stored, rows, options.like, notes);
    shape.classes = labels.classes;
    shape.label_features = labels.features;
    shape.class_names = labels.class_names;
    shape.label_problem = labels.problem_of(stored.front().split);
    for (const SplitPaths& paths : stored)
      if (!splits.contains(paths.split)) splits[paths.split] = open_source(paths.split);
    hold_out_validation();
    if (splits.contains("train")) shape.rows = splits.at("train")->rows();
  }

  // Throws a usage Error where columns, categories or scales of the files differ.
  void require_one_meaning() const {
    if (files.size() == 1) return;
    const std::string problem = ranks.compute_on_root([&]() -> std::string {
      const DataDescription first = describe_data(*files.front());
      for (const auto& file : files)
        if (const std::string other = difference_of(describe_data(*file), first); !other.empty())
          return fmt::format("{}: {} as in {}; expected the same in all files", file->path(), other,
                             files.front()->path());
      return "";
    });
    if (!problem.empty()) usage_error("{}", problem);
  }

  // Throws a usage Error where rows that have no missing values shall have a mask.
  void decide_masks() {
    const bool is_sparse = stored.front().is_sparse();
    const bool has_none = is_sparse || shape.tokens > 0;
    const std::string& where = stored.front().x;
    if (has_none && options.missing == "mask")
      stored.front().file->reject(
          fmt::format("{} has {}; expected data.missing=refuse", where,
                      is_sparse ? "sparse rows, where what is not stored is 0 and not missing"
                                : "tokens, of which none is missing"));
    if (has_none && !missing_values.empty())
      stored.front().file->reject(fmt::format("{} has {}, for which data.missing_value has no meaning", where,
                                              is_sparse ? "sparse rows" : "tokens"));
    shape.masked = options.missing == "mask" || (options.tolerates_missing && !has_none);
  }

  // Checks that the rows agree with those of the first split, and returns their number.
  int64_t check_rows(SplitPaths& paths) {
    if (paths.is_sparse() != stored.front().is_sparse())
      paths.file->reject(fmt::format("{} has {} rows, but {} has {}; expected the same in all", paths.x,
                                     paths.is_sparse() ? "sparse" : "dense", stored.front().x,
                                     stored.front().is_sparse() ? "sparse" : "dense"));
    if (paths.is_sparse()) {
      const SparseRows rows(*paths.file, paths.sparse, shape.x.empty() ? 0 : shape.features(), nullptr, 0,
                            {});
      shape.x = {rows.features()};
      const bool are_counts = paths.sparse.is_counts || kind_of_rows(*paths.file, options) == "counts";
      shape.kind = are_counts ? "counts" : "interactions";
      if (options.requires_named && options.kind != "auto" && options.kind != shape.kind)
        paths.file->reject(
            fmt::format("data.kind={}: {} holds sparse rows, which are {}; leave the option out",
                        options.kind, paths.x, shape.kind));
      return rows.rows();
    }
    decide_view(paths, options, notes);
    const hdf5::DatasetInfo info = require_rows(*paths.file, paths.view());
    if (shape.x.empty()) {
      find_shape(paths, info);
      if (const std::string lost = lost_in_float32(*paths.file, paths.view()); !lost.empty())
        notes.push_back(fmt::format("{}: {}", paths.file->path(), lost));
    }
    const SplitPaths& first = stored.front();
    const hdf5::DatasetInfo first_info = describe_rows(*first.file, first.view());
    if (info.row_elements() != shape.features() || (info.type_class == H5T_INTEGER) != shape.integer_x ||
        info.bytes() != first_info.bytes())
      paths.file->reject(fmt::format(
          "{} has rows of shape {} and type {}, but {} has {} and {}{}; expected the same in all", paths.x,
          shape_text(std::span(info.shape).subspan(1)), info.type_name, first.x, shape_text(shape.x),
          first_info.type_name, paths.file == first.file ? "" : " in " + first.file->path()));
    return info.shape.front();
  }

  // The rows of a split, or of "all".
  std::shared_ptr<const RowSource> open_source(const std::string& split) const {
    std::vector<size_t> members;  // of `stored`
    for (size_t i = 0; i < stored.size(); ++i)
      if (split == "all" || stored[i].split == split) members.push_back(i);
    const bool labelled = std::ranges::none_of(members, [&](size_t i) { return stored[i].label.empty(); });
    const bool has_length = std::ranges::any_of(members, [&](size_t i) { return !stored[i].length.empty(); });
    const auto cache = std::make_shared<ChunkCache>(2 * options.shuffle_buffer_bytes);
    std::vector<std::shared_ptr<const RowSource>> parts;
    std::map<std::string, int64_t> rows_before;  // of each split
    int64_t chunk_bytes = 0, bytes = 0;          // of the largest chunk; of all rows
    for (const size_t i : members) {
      const SplitPaths& paths = stored[i];
      const auto add = [&](const auto& part) {
        chunk_bytes = std::max(chunk_bytes, part->chunk_bytes());
        bytes += part->rows() * part->bytes_per_row();
        rows_before[paths.split] += part->rows();
        parts.push_back(part);
      };
      const auto number = static_cast<int64_t>(parts.size());
      StoredRows place{
          .split = paths.split,
          .first_row = rows_before[paths.split],
          .names = paths.names.empty() ? nullptr : std::make_shared<RowNames>(*paths.file, paths.names)};
      const Labels own = labelled ? labels.of[i] : Labels{};
      if (paths.is_sparse()) {
        add(std::make_shared<SparseRows>(*paths.file, paths.sparse, shape.features(), cache, number,
                                         std::move(place), own));
        continue;
      }
      add(std::make_shared<StoredSplit>(*paths.file, cache,
                                        StoredSplitOptions{.x = paths.view(),
                                                           .labels = own,
                                                           .row_shape = shape.x,
                                                           .tokens = shape.tokens,
                                                           .labels_bytes = options.shuffle_buffer_bytes,
                                                           .length = paths.length,
                                                           .has_length = has_length,
                                                           .masks_missing = shape.masked,
                                                           .missing_values = missing_values,
                                                           .number = number,
                                                           .stored = std::move(place)}));
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
  state_->transformed = [transform, rule](std::shared_ptr<const RowSource> rows) {
    return std::make_shared<TransformedRows>(std::move(rows), transform, rule);
  };
  state_->stored_splits = state_->splits;
  for (auto& [name, rows] : state_->splits) rows = state_->transformed(rows);
}

std::vector<std::string> Dataset::splits() const {
  std::vector<std::string> names;
  for (const char* name : {"train", "validation", "test"})
    if (has(name)) names.emplace_back(name);
  return names;
}

bool Dataset::has(const std::string& split) const { return state_->splits.contains(split); }

const RowSource& Dataset::split(const std::string& split) const {
  if (split == "all") {
    const auto guard = hdf5::lock();
    if (!state_->all_rows) {
      state_->all_stored_rows = state_->open_source("all");
      state_->all_rows =
          state_->transformed ? state_->transformed(state_->all_stored_rows) : state_->all_stored_rows;
    }
    return *state_->all_rows;
  }
  const auto found = state_->splits.find(split);
  if (found == state_->splits.end())
    usage_error("{}: has no {} split, only {}", state_->options.path, split, join(splits(), ", "));
  return *found->second;
}

const RowSource& Dataset::stored_split(const std::string& name) const {
  const RowSource& rows = split(name);
  if (!state_->transformed) return rows;
  return name == "all" ? *state_->all_stored_rows : *state_->stored_splits.at(name);
}

const std::vector<std::string>& Dataset::notes() const { return state_->notes; }

void Dataset::require_labels(const std::string& split) const {
  const auto guard = hdf5::lock();
  state_->require_labels(split);
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

DataDescription Dataset::description() const {
  const auto lock = hdf5::lock();
  const DataFile& file = *state_->files.front();
  DataDescription description = describe_data(file);
  if (description.columns.empty()) description.columns = names_of_columns(file, state_->stored.front().x);
  return description;
}

void Dataset::save_description(const std::string& path) const {
  const auto lock = hdf5::lock();
  AtomicFile file(path);
  {
    const hdf5::Handle to = hdf5::create_file(file.temporary_path());
    copy_description(*state_->files.front(), to,
                     names_of_columns(*state_->files.front(), state_->stored.front().x));
    hdf5::write_out(to, path);
  }
  file.commit();
}

std::vector<std::string> Dataset::feature_names() const {
  constexpr const char* path = "/features";
  const auto lock = hdf5::lock();
  const DataFile& file = *state_->files.front();
  if (shape().x.size() != 1 || !hdf5::exists(file.handle(), path)) return {};
  if (hdf5::is_group(file.handle(), path) || file.describe(path).type_class != H5T_STRING) return {};
  std::vector<std::string> names = hdf5::read_texts(hdf5::open_dataset(file.handle(), path));
  if (static_cast<int64_t>(names.size()) != shape().features()) names.clear();
  return names;
}

std::string Dataset::attribute(const std::string& name) const {
  return hdf5::read_text_attribute(hdf5::open_group(state_->files.front()->handle(), "/"), name).value_or("");
}

}  // namespace elbo
