#include "elbo/data/sparse_rows.h"

#include <fmt/format.h>
#include <torch/types.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace elbo {
namespace {

constexpr int64_t chunk_entries = 32'768;
constexpr int64_t most_columns = int64_t{256} * 1024 * 1024;  // a row of 1 GiB
constexpr int64_t entry_bytes = 12;                           // an index and a value in memory

// The length of a one-dimensional dataset. Throws a usage Error if its type or rank is not as expected.
int64_t length_of(const DataFile& file, const std::string& path, bool integers) {
  const hdf5::DatasetInfo info = file.describe(path);
  if (!info.numeric() || (integers && info.type_class != H5T_INTEGER) || info.shape.size() != 1)
    file.reject(fmt::format("{} holds {} in {} dimensions; expected {} in one dimension", path,
                            info.type_name, info.shape.size(), integers ? "integers" : "numbers"));
  return info.shape.front();
}

// (rows, columns) of a matrix of SciPy, AnnData (an attribute) or 10x (a dataset of columns and rows); (0, 0)
// if it is not stored.
std::pair<int64_t, int64_t> shape_of_matrix(const DataFile& file, const std::string& group, bool by_cells) {
  std::array<int64_t, 2> shape{};
  if (hdf5::exists(file.handle(), group + "/shape")) {
    if (length_of(file, group + "/shape", true) == 2)
      file.reader(group + "/shape", torch::kInt64)->read(0, 2, shape.data());
  } else {
    const hdf5::Handle matrix = hdf5::open_group(file.handle(), group);
    for (const char* name : {"shape", "h5sparse_shape"}) {
      if (H5Aexists(matrix.get(), name) <= 0) continue;
      const hdf5::Handle attribute(H5Aopen(matrix.get(), name, H5P_DEFAULT), H5Aclose);
      const hdf5::Handle space(H5Aget_space(attribute.get()), H5Sclose);
      if (H5Sget_simple_extent_npoints(space.get()) == 2)
        H5Aread(attribute.get(), H5T_NATIVE_INT64, shape.data());
    }
  }
  return by_cells ? std::pair(shape[1], shape[0]) : std::pair(shape[0], shape[1]);
}

bool is_csc(const DataFile& file, const std::string& group) {
  const hdf5::Handle matrix = hdf5::open_group(file.handle(), group);
  return hdf5::read_text_attribute(matrix, "encoding-type") == "csc_matrix" ||
         hdf5::read_text_attribute(matrix, "h5sparse_format") == "csc";
}

}  // namespace

bool holds_sparse_rows(const DataFile& file, const std::string& group) {
  const auto has = [&](const char* name) { return hdf5::exists(file.handle(), group + name); };
  return has("/indices") && (has("/offsets") || has("/indptr"));
}

bool is_sparse_of_matlab(const DataFile& file, const std::string& group) {
  return hdf5::has_attribute(hdf5::open_group(file.handle(), group), "MATLAB_sparse");
}

SparsePaths sparse_paths(const DataFile& file, const std::string& group) {
  if (is_sparse_of_matlab(file, group))
    file.reject(
        fmt::format("{0} is a sparse matrix of MATLAB, which is stored by columns; store all of its numbers: "
                    "in MATLAB: {1} "
                    "= full({1}); save('NEW.mat', '{1}', '-v7.3')",
                    group, group.substr(group.rfind('/') + 1)));
  if (!holds_sparse_rows(file, group))
    file.reject(fmt::format(
        "{} is a group; expected a dataset of rows, or a group of sparse rows (indices and offsets)", group));
  const auto path_of = [&](const char* name) {
    return hdf5::exists(file.handle(), group + name) ? group + name : "";
  };
  if (hdf5::exists(file.handle(), group + "/offsets"))
    return {.offsets = group + "/offsets",
            .indices = group + "/indices",
            .values = path_of("/values"),
            .columns =
                hdf5::read_integer_attribute(hdf5::open_group(file.handle(), group), "features").value_or(0)};
  const bool by_cells = hdf5::exists(file.handle(), group + "/barcodes");  // 10x: its columns are our rows
  const auto [rows, columns] = shape_of_matrix(file, group, by_cells);
  const SparsePaths paths{.offsets = group + "/indptr",
                          .indices = group + "/indices",
                          .values = path_of("/data"),
                          .columns = columns,
                          .is_counts = true};
  const int64_t offsets = length_of(file, paths.offsets, true);
  if (!by_cells && (is_csc(file, group) || (rows > 0 && offsets != rows + 1 && offsets == columns + 1)))
    file.reject(fmt::format(
        "{} is stored by columns (CSC), which spreads each row over the file; store it by rows: in Python: "
        "import anndata; a = anndata.read_h5ad(\"{}\"); a.X = a.X.tocsr(); a.write_h5ad(\"rows.h5ad\")",
        group, std::filesystem::path(file.path()).filename().string()));
  if (rows > 0 && offsets != rows + 1)
    file.reject(fmt::format("{} has {} elements for {} rows; expected one more than there are rows",
                            paths.offsets, offsets, rows));
  return paths;
}

SparseRows::SparseRows(const DataFile& file, const SparsePaths& paths, int64_t features,
                       std::shared_ptr<ChunkCache> cache, int64_t number, StoredRows stored,
                       const Labels& labels)
    : path_(file.path()),
      paths_(paths),
      features_(features),
      cache_(std::move(cache)),
      number_(number),
      stored_(std::move(stored)) {
  const int64_t offsets = length_of(file, paths.offsets, true);
  if (offsets < 2)
    file.reject(
        fmt::format("{} has {} elements; expected one more than there are rows", paths.offsets, offsets));
  offsets_.resize(static_cast<size_t>(offsets));
  file.reader(paths.offsets, torch::kInt64)->read(0, offsets, offsets_.data());
  const int64_t indices = length_of(file, paths.indices, true);
  for (size_t i = 0; i < offsets_.size(); ++i)
    if (offsets_[i] < (i == 0 ? 0 : offsets_[i - 1]) || offsets_[i] > indices)
      file.reject(
          fmt::format("{} is {} at index {}; expected ascending numbers from 0 to {}, the number of indices",
                      paths.offsets, offsets_[i], i, indices));
  if (labels.reader) labels_ = all_labels(labels, rows());
  indices_ = file.reader(paths.indices, torch::kInt64);
  if (!paths.values.empty()) {
    const int64_t values = length_of(file, paths.values, false);
    if (values != indices)
      file.reject(fmt::format("{} has {} elements, but {} has {}; expected as many", paths.values, values,
                              paths.indices, indices));
    values_ = file.reader(paths.values, torch::kFloat32);
  }
  if (features_ == 0) features_ = paths.columns > 0 ? paths.columns : largest_index() + 1;
  if (features_ < 1)
    file.reject(
        fmt::format("{} has no entries, so there are no columns; expected at least one", paths.indices));
  if (features_ > most_columns)
    file.reject(fmt::format("the rows of {} have {} columns; expected at most {}", paths.indices, features_,
                            most_columns));
}

int64_t SparseRows::row_of(int64_t entry) const {
  return std::ranges::upper_bound(offsets_, entry) - offsets_.begin() - 1;
}

int64_t SparseRows::largest_index() const {
  int64_t largest = -1;
  std::vector<int64_t> indices;
  for (int64_t first = 0; first < entries(); first += chunk_entries) {
    indices.resize(static_cast<size_t>(std::min(chunk_entries, entries() - first)));
    indices_->read(first, static_cast<int64_t>(indices.size()), indices.data());
    require_columns(indices.data(), first, std::ssize(indices), most_columns);
    largest = std::max(largest, *std::ranges::max_element(indices));
  }
  return largest;
}

void SparseRows::require_columns(const int64_t* index, int64_t first, int64_t count, int64_t columns) const {
  for (int64_t i = 0; i < count; ++i)
    if (index[i] < 0 || index[i] >= columns)
      usage_error("{}: {} is {} at index {}; expected 0 to {}", path_, paths_.indices, index[i], first + i,
                  columns - 1);
}

int64_t SparseRows::bytes_per_row() const { return std::max<int64_t>(1, entries() * entry_bytes / rows()); }

int64_t SparseRows::rows_per_chunk() const {
  return std::clamp<int64_t>(chunk_entries * entry_bytes / bytes_per_row(), 1, rows());
}

int64_t SparseRows::chunk_bytes() const { return std::min(chunk_entries, entries()) * entry_bytes; }

Chunk SparseRows::load(int64_t chunk_index) const {
  const int64_t first = chunk_index * chunk_entries, count = std::min(chunk_entries, entries() - first);
  Chunk chunk{torch::empty({count}, torch::kInt64), values_ ? torch::empty({count}) : torch::ones({count})};
  indices_->read(first, count, chunk.x.mutable_data_ptr());
  if (values_) values_->read(first, count, chunk.label.mutable_data_ptr());
  const auto* index = chunk.x.const_data_ptr<int64_t>();
  const auto* value = chunk.label.const_data_ptr<float>();
  require_columns(index, first, count, features_);
  if (are_valid(value, count, Support::real)) return chunk;
  int64_t wrong = 0;
  while (are_valid(value + wrong, 1, Support::real)) ++wrong;
  require_valid(value + wrong, 1, 1, {}, path_, paths_.values, row_of(first + wrong));
  return chunk;
}

Batch SparseRows::read(const std::vector<int64_t>& ids) const {
  indices_->require_unchanged();
  if (values_) values_->require_unchanged();
  const auto n = static_cast<int64_t>(ids.size());
  Batch batch;
  batch.x = torch::zeros({n, features_});
  batch.ids = torch::tensor(ids, torch::kInt64);
  if (labels_.defined()) batch.label = labels_.index_select(0, batch.ids);
  auto* x = batch.x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    const auto row = static_cast<size_t>(ids[static_cast<size_t>(i)]);
    for (int64_t entry = offsets_[row]; entry < offsets_[row + 1];) {
      const int64_t chunk = entry / chunk_entries,
                    end = std::min(offsets_[row + 1], (chunk + 1) * chunk_entries);
      const ChunkCache::Pointer from = cache_->get({number_, chunk}, [&] { return load(chunk); });
      const auto* index = from->x.const_data_ptr<int64_t>();
      const auto* value = from->label.const_data_ptr<float>();
      for (; entry < end; ++entry)
        x[i * features_ + index[entry - chunk * chunk_entries]] = value[entry - chunk * chunk_entries];
    }
  }
  return batch;
}

std::string SparseRows::place_of(int64_t id) const {
  return fmt::format("{}: row {} of {}", path_, id, paths_.indices);
}

void SparseRows::read_all() const {
  for (int64_t chunk = 0; chunk * chunk_entries < entries(); ++chunk)
    cache_->get({number_, chunk}, [&] { return load(chunk); });
}

}  // namespace elbo
