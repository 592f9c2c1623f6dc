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
  RowFile(const std::string& path, const std::vector<RowOutput>& outputs)
      : path_(path), target_(path), file_(hdf5::create_file(target_.temporary_path())), outputs_(outputs) {
    for (const RowOutput& output : outputs)
      datasets_.push_back(
          hdf5::create_rows(file_, "/" + output.name, output.shape, torch::kFloat32, chunk_rows, 0));
  }

  void append(const torch::Tensor& values, const torch::Tensor& label) {
    int64_t place = 0;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      std::vector<int64_t> shape = outputs_[i].shape;
      shape.insert(shape.begin(), values.size(0));
      hdf5::append(datasets_[i], values.narrow(1, place, elements(outputs_[i])).reshape(shape).contiguous());
      place += elements(outputs_[i]);
    }
    if (!label.defined()) return;
    if (!label_)
      label_ = hdf5::create_rows(file_, "/label", label.sizes().slice(1).vec(), label.scalar_type(),
                                 chunk_rows, 0);
    hdf5::append(label_, label);
  }

  void commit() {
    hdf5::write_out(file_, path_);
    datasets_.clear();
    label_ = {};
    file_ = {};
    target_.commit();
  }

 private:
  std::string path_;
  AtomicFile target_;
  hdf5::Handle file_, label_;
  std::vector<hdf5::Handle> datasets_;
  const std::vector<RowOutput>& outputs_;
};

}  // namespace

void map_rows(Communicator& world, Workers& workers, const RowSource& source, int64_t microbatch,
              const std::vector<RowOutput>& outputs, const RowFunction& function, const std::string& path) {
  int64_t width = 0;
  for (const RowOutput& output : outputs) width += elements(output);
  Rounds rounds(world, workers, source.rows(), microbatch, width, function);
  std::optional<RowFile> file;
  if (world.rank() == 0) file.emplace(path, outputs);
  for (int64_t first = 0; first < source.rows(); first += rounds.rows()) {
    const torch::Tensor values = rounds.compute(first);
    if (!file) continue;
    std::vector<int64_t> ids(static_cast<size_t>(values.size(0)));
    std::iota(ids.begin(), ids.end(), first);
    file->append(values, source.read(ids).label);
  }
  if (file) file->commit();
}

}  // namespace elbo
