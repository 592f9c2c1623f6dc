// IDX files, the format of MNIST (LeCun, Cortes & Burges 1998).

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>

#include "elbo/base/error.h"
#include "elbo/convert/byte_source.h"
#include "elbo/convert/dataset_writer.h"
#include "elbo/convert/format.h"
#include "elbo/convert/splits.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr int64_t idx_piece_bytes = int64_t{1024} * 1024;

// One IDX file: two zero bytes, the type (8 is unsigned bytes), the number of dimensions, their sizes as
// big-endian 32-bit numbers, the elements.
class IdxFile {
 public:
  explicit IdxFile(const std::string& path) : source_(open_bytes(path)) {
    std::array<uint8_t, 4> magic{};
    read(magic.data(), magic.size());
    if (magic[0] != 0 || magic[1] != 0 || magic[3] == 0)
      usage_error("{}: is not an IDX file; expected two zero bytes, a type and a rank at its start", path);
    if (magic[2] != 0x08)
      usage_error("{}: holds elements of type 0x{:02x}; expected unsigned bytes (0x08)", path, magic[2]);
    for (int i = 0; i < magic[3]; ++i) {
      std::array<uint8_t, 4> size{};
      read(size.data(), size.size());
      shape_.push_back(int64_t{uint32_t{size[0]} << 24 | uint32_t{size[1]} << 16 | uint32_t{size[2]} << 8 |
                               uint32_t{size[3]}});
    }
    for (const int64_t size : shape_)
      if (size == 0) usage_error("{}: is empty: one of its sizes is 0", path);
  }

  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t rows() const { return shape_.front(); }
  bool holds_labels() const { return shape_.size() == 1; }
  const std::string& path() const { return source_->name(); }

  torch::Tensor next(int64_t rows) {
    std::vector<int64_t> shape = shape_;
    shape.front() = rows;
    torch::Tensor result = torch::empty(shape, torch::kUInt8);
    read(result.mutable_data_ptr<uint8_t>(), result.nbytes());
    return result;
  }

  void require_end() {
    uint8_t more = 0;
    if (source_->read(&more, 1) != 0)
      usage_error("{}: is damaged: it has data after the {} rows of its header", path(), rows());
  }

 private:
  void read(uint8_t* out, size_t bytes) {
    if (source_->read(out, bytes) != bytes)
      usage_error("{}: is cut short or damaged; copy or download it again", path());
  }

  std::unique_ptr<ByteSource> source_;
  std::vector<int64_t> shape_;
};

std::string split_of(const std::string& path) {
  const std::string name = fs::path(path).filename();
  return name.starts_with("t10k") || name.find("test") != std::string::npos ? "test" : "train";
}

// (height, width) becomes (1, height, width).
std::vector<int64_t> row_shape(const IdxFile& images) {
  const std::vector<int64_t>& shape = images.shape();
  double bytes = 1;
  for (size_t i = 1; i < shape.size(); ++i) bytes *= static_cast<double>(shape[i]);
  if (bytes > 1e9)
    usage_error("{}: is damaged: its header claims {:g} bytes per image", images.path(), bytes);
  if (shape.size() == 3) return {1, shape[1], shape[2]};
  if (shape.size() == 4) return {shape[1], shape[2], shape[3]};
  usage_error("{}: has {} dimensions; expected images (3 or 4) or labels (1)", images.path(), shape.size());
}

struct Inputs {
  std::optional<IdxFile> images, labels;
};

void convert_split(RowWriter& out, const std::string& split, Inputs& inputs) {
  if (!inputs.images)
    usage_error("{}: holds labels, but no images were given; add the {} images",
                inputs.labels ? inputs.labels->path() : "the command line", split);
  IdxFile& images = *inputs.images;
  if (inputs.labels && inputs.labels->rows() != images.rows())
    usage_error("{}: holds {} labels for the {} images of {}; expected one label per image",
                inputs.labels->path(), inputs.labels->rows(), images.rows(), images.path());
  const std::vector<int64_t> row = row_shape(images);
  const int64_t piece = std::max<int64_t>(1, idx_piece_bytes / (row[0] * row[1] * row[2]));
  for (int64_t done = 0; done < images.rows();) {
    const int64_t count = std::min(piece, images.rows() - done);
    Rows rows{{"x", images.next(count).reshape({count, row[0], row[1], row[2]})}};
    if (inputs.labels) rows.emplace_back("label", inputs.labels->next(count));
    out.append(rows, split);
    done += count;
  }
  images.require_end();
  if (inputs.labels) inputs.labels->require_end();
}

void convert_idx(const std::vector<std::string>& inputs, const Target& target, const SplitOptions& options) {
  Inputs train, test;
  for (const std::string& path : inputs) {
    IdxFile file(path);
    const bool is_test = split_of(path) == "test";
    Inputs& split = is_test ? test : train;
    std::optional<IdxFile>& place = file.holds_labels() ? split.labels : split.images;
    if (place)
      usage_error("{}: {} already has the {} {}; expected one file of each", path, place->path(),
                  is_test ? "test" : "train", file.holds_labels() ? "labels" : "images");
    place.emplace(std::move(file));
  }
  DatasetWriter out(target, "image");
  RowWriter rows(out, options);
  if (train.images || train.labels) convert_split(rows, "train", train);
  if (test.images || test.labels) convert_split(rows, "test", test);
  rows.finish();
  out.commit();
}

}  // namespace

Format idx_format() {
  return {.name = "idx",
          .takes = "IMAGES [LABELS] …",
          .summary = "files in the format of MNIST, gzipped or not; t10k… and …test… become the test split",
          .least = 1,
          .most = 4,
          .bind = with_options(convert_idx)};
}

}  // namespace elbo
