#include "elbo/convert/dataset_writer.h"

#include <torch/types.h>

#include <algorithm>
#include <filesystem>

#include "elbo/base/cores.h"
#include "elbo/base/error.h"
#include "elbo/hdf5/append_chunks.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr int64_t chunk_bytes = int64_t{256} * 1024;
constexpr unsigned deflate_level = 6;

fs::path prepared(const std::string& out) {
  if (out.empty()) usage_error("--out: is missing; expected the file to write, such as --out=DATA.h5");
  std::error_code ignored;  // creating the file reports other errors of the path
  if (fs::exists(fs::symlink_status(out, ignored)))
    usage_error("--out={}: exists already; choose another name, or remove it first", out);
  make_parent(out);
  return out;
}

int64_t row_bytes(const torch::Tensor& rows) {
  return rows.numel() / rows.size(0) * static_cast<int64_t>(rows.element_size());
}

}  // namespace

void Target::bind(OptionTable& table) {
  table.add_path("out", out, "HDF5 file to write; must not exist");
  table.add("name", name, "name of the data set; empty: that of the file");
  table.add("source", source, "where the data come from");
  table.add("license", license, "licence of the data");
}

DatasetWriter::DatasetWriter(const Target& target, const std::string& kind)
    : threads_(cores_of({core_allowance()}, 0)), out_(target.out), target_(prepared(target.out)) {
  file_ = hdf5::create_file(target_.temporary_path());
  const hdf5::Handle root = hdf5::open_group(file_, "/");
  hdf5::write_attribute(root, "kind", kind);
  hdf5::write_attribute(root, "name", target.name.empty() ? fs::path(out_).stem().string() : target.name);
  if (!target.source.empty()) hdf5::write_attribute(root, "source", target.source);
  if (!target.license.empty()) hdf5::write_attribute(root, "license", target.license);
}

void DatasetWriter::append(const std::string& path, const torch::Tensor& rows) {
  if (rows.size(0) == 0) return;
  Stream& stream = streams_[path];
  if (stream.chunk_rows == 0)
    stream.chunk_rows = std::clamp<int64_t>(chunk_bytes / std::max<int64_t>(1, row_bytes(rows)), 1, 1 << 20);
  stream.waiting.push_back(rows);
  stream.waiting_rows += rows.size(0);
  stream.rows += rows.size(0);
  if (stream.waiting_rows >= std::min(4, threads_) * stream.chunk_rows) flush(path, stream);
}

// Writes whole chunks only, so that no chunk but the last is compressed twice.
void DatasetWriter::flush(const std::string& path, Stream& stream) {
  if (stream.waiting_rows == 0) return;
  const torch::Tensor rows = torch::cat(stream.waiting);
  const bool last = stream.waiting_rows < stream.chunk_rows;
  if (!stream.dataset) {
    stream.chunk_rows = std::min(stream.chunk_rows, stream.waiting_rows);
    stream.dataset = hdf5::create_rows(file_, path, rows.sizes().slice(1).vec(), rows.scalar_type(),
                                       stream.chunk_rows, deflate_level);
  }
  const int64_t whole = last ? rows.size(0) : rows.size(0) / stream.chunk_rows * stream.chunk_rows;
  hdf5::append_chunks(stream.dataset, rows.narrow(0, 0, whole).contiguous(), stream.chunk_rows, deflate_level,
                      threads_);
  stream.waiting = {rows.narrow(0, whole, rows.size(0) - whole).clone()};
  stream.waiting_rows = rows.size(0) - whole;
}

// Whole chunks first, then the rest.
void DatasetWriter::flush_all(const std::string& path, Stream& stream) {
  while (stream.waiting_rows > 0) flush(path, stream);
}

int64_t DatasetWriter::rows(const std::string& path) const {
  const auto found = streams_.find(path);
  return found == streams_.end() ? 0 : found->second.rows;
}

void DatasetWriter::write(const std::string& path, const torch::Tensor& tensor) {
  hdf5::write_tensor(file_, path, tensor.contiguous());
}

void DatasetWriter::write_texts(const std::string& path, const std::vector<std::string>& texts) {
  hdf5::write_texts(file_, path, texts);
}

void DatasetWriter::append_texts(const std::string& path, const std::vector<std::string>& texts) {
  std::vector<std::string>& all = texts_[path];
  all.insert(all.end(), texts.begin(), texts.end());
}

hdf5::Handle DatasetWriter::open(const std::string& path) {
  if (const auto found = streams_.find(path); found != streams_.end()) flush_all(path, found->second);
  return hdf5::is_group(file_, path) ? hdf5::open_group(file_, path) : hdf5::open_dataset(file_, path);
}

void DatasetWriter::commit() {
  for (auto& [path, stream] : streams_) flush_all(path, stream);
  if (std::ranges::all_of(streams_, [](const auto& each) { return each.second.rows == 0; }))
    usage_error("{}: would have no rows; no row of the input was selected", out_);
  for (const auto& [path, texts] : texts_) write_texts(path, texts);
  hdf5::write_out(file_, out_);
  streams_.clear();
  file_ = {};
  target_.commit();
}

}  // namespace elbo
