#include "elbo/eval/map_rows.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "elbo/base/file.h"
#include "elbo/base/index_range.h"
#include "elbo/hdf5/hdf5.h"

namespace elbo {
namespace {

constexpr int64_t chunk_rows = 1024;
// The codes of /split.
const std::vector<std::string>& split_names() {
  static const std::vector<std::string> names{"train", "validation", "test"};
  return names;
}

int64_t elements(const RowOutput& output) {
  return std::accumulate(output.shape.begin(), output.shape.end(), int64_t{1}, std::multiplies<>());
}

// In a round every worker of every rank computes one microbatch.
class Rounds {
 public:
  Rounds(Communicator& world, Workers& workers, int64_t rows, int64_t microbatch, int64_t width,
         const RowFunction& function)
      : world_(world),
        workers_(workers),
        rows_(rows),
        microbatch_(microbatch),
        width_(width),
        function_(function) {
    torch::Tensor most = torch::tensor({static_cast<int64_t>(workers.count())});
    world.all_reduce(most, ReduceOp::max);
    rows_of_rank_ = microbatch * most.item<int64_t>();
  }

  int64_t rows() const { return rows_of_rank_ * world_.size(); }

  // On rank 0 (n, width) for the rows first … first + rows()-1 as far as there are any; on the others (0,
  // width). Collective.
  torch::Tensor compute(int64_t first) {
    std::vector<int64_t> counts;
    counts.reserve(static_cast<size_t>(world_.size()));
    for (int rank = 0; rank < world_.size(); ++rank) counts.push_back(range_of(rank, first).size() * width_);
    return gather(world_, compute_range(range_of(world_.rank(), first)), counts, 0).view({-1, width_});
  }

 private:
  IndexRange range_of(int rank, int64_t first) const {
    const int64_t begin = std::min(first + rank * rows_of_rank_, rows_);
    return {begin, std::min(begin + rows_of_rank_, rows_)};
  }

  // (range.size(), width)
  torch::Tensor compute_range(IndexRange range) {
    torch::Tensor result = torch::empty({range.size(), width_});
    workers_.run([&](int worker) {
      const torch::NoGradGuard no_grad;
      const int64_t stride = workers_.count() * microbatch_;
      for (int64_t begin = range.first + worker * microbatch_; begin < range.end; begin += stride) {
        const int64_t end = std::min(begin + microbatch_, range.end);
        result.narrow(0, begin - range.first, end - begin)
            .copy_(function_(worker, begin / microbatch_, begin, end));
      }
    });
    return result;
  }

  Communicator& world_;
  Workers& workers_;
  int64_t rows_, microbatch_, width_, rows_of_rank_ = 0;
  const RowFunction& function_;
};

class RowFile {
 public:
  RowFile(const std::string& path, const std::vector<RowOutput>& outputs, const RowSource& source)
      : path_(path),
        target_(path),
        file_(hdf5::create_file(target_.temporary_path())),
        outputs_(outputs),
        source_(source) {
    for (const RowOutput& output : outputs)
      datasets_.push_back(
          hdf5::create_rows(file_, "/" + output.name, output.shape, torch::kFloat32, chunk_rows, 0));
    row_ = hdf5::create_rows(file_, "/row", {}, torch::kInt64, chunk_rows, 0);
    if (source.identity(0).split == source.identity(source.rows() - 1).split) return;
    split_ = hdf5::create_rows(file_, "/split", {}, torch::kUInt8, chunk_rows, 0);
    hdf5::write_attribute(split_, "names", split_names());
  }

  // The results of the rows `ids`, which follow those of the call before.
  void append(const torch::Tensor& values, const std::vector<int64_t>& ids) {
    if (ids.empty()) return;
    append_values(values);
    append_identities(ids);
    append_label(source_.read(ids).label);
  }

  void commit() {
    if (!names_.empty()) hdf5::write_texts(file_, "/name", names_);
    hdf5::write_out(file_, path_);
    datasets_.clear();
    label_ = {};
    row_ = {};
    split_ = {};
    file_ = {};
    target_.commit();
  }

 private:
  void append_values(const torch::Tensor& values) {
    int64_t place = 0;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      std::vector<int64_t> shape = outputs_[i].shape;
      shape.insert(shape.begin(), values.size(0));
      hdf5::append(datasets_[i], values.narrow(1, place, elements(outputs_[i])).reshape(shape).contiguous());
      place += elements(outputs_[i]);
    }
  }

  void append_identities(const std::vector<int64_t>& ids) {
    std::vector<int64_t> rows;
    std::vector<uint8_t> splits;
    for (const int64_t id : ids) {
      const RowIdentity row = source_.identity(id);
      rows.push_back(row.row);
      splits.push_back(
          static_cast<uint8_t>(std::ranges::find(split_names(), row.split) - split_names().begin()));
      if (!row.name.empty()) names_.push_back(row.name);
    }
    hdf5::append(row_, torch::tensor(rows, torch::kInt64));
    if (split_) hdf5::append(split_, torch::tensor(splits, torch::kUInt8));
  }

  void append_label(const torch::Tensor& label) {
    if (!label.defined()) return;
    if (!label_)
      label_ = hdf5::create_rows(file_, "/label", label.sizes().slice(1).vec(), label.scalar_type(),
                                 chunk_rows, 0);
    hdf5::append(label_, label);
  }

  std::string path_;
  AtomicFile target_;
  hdf5::Handle file_, label_, row_, split_;
  std::vector<hdf5::Handle> datasets_;
  std::vector<std::string> names_;
  const std::vector<RowOutput>& outputs_;
  const RowSource& source_;
};

}  // namespace

void map_rows(Communicator& world, Workers& workers, const RowSource& source, int64_t microbatch,
              const std::vector<RowOutput>& outputs, const RowFunction& function, const std::string& path) {
  int64_t width = 0;
  for (const RowOutput& output : outputs) width += elements(output);
  Rounds rounds(world, workers, source.rows(), microbatch, width, function);
  std::optional<RowFile> file;
  if (world.rank() == 0) file.emplace(path, outputs, source);
  for (int64_t first = 0; first < source.rows(); first += rounds.rows()) {
    const torch::Tensor values = rounds.compute(first);
    if (!file) continue;
    std::vector<int64_t> ids(static_cast<size_t>(values.size(0)));
    std::iota(ids.begin(), ids.end(), first);
    file->append(values, ids);
  }
  if (file) file->commit();
}

}  // namespace elbo
