#include "elbo/eval/map_rows.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "elbo/base/index_range.h"

namespace elbo {
namespace {

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
        std::vector<torch::Tensor> flat;
        for (const torch::Tensor& output : function_(worker, begin / microbatch_, begin, end))
          flat.push_back(output.reshape({end - begin, -1}));
        result.narrow(0, begin - range.first, end - begin).copy_(torch::cat(flat, 1));
      }
    });
    return result;
  }

  Communicator& world_;
  Workers& workers_;
  int64_t rows_, microbatch_, width_, rows_of_rank_ = 0;
  const RowFunction& function_;
};

}  // namespace

void map_rows(Communicator& world, Workers& workers, int64_t rows, int64_t microbatch,
              const std::vector<RowOutput>& outputs, const RowFunction& function, const TakeRows& take) {
  int64_t width = 0;
  for (const RowOutput& output : outputs) width += elements(output);
  Rounds rounds(world, workers, rows, microbatch, width, function);
  for (int64_t first = 0; first < rows; first += rounds.rows()) {
    const torch::Tensor values = rounds.compute(first);
    if (world.rank() != 0) continue;
    std::vector<torch::Tensor> parts;
    parts.reserve(outputs.size());
    int64_t place = 0;
    for (const RowOutput& output : outputs) {
      std::vector<int64_t> shape = output.shape;
      shape.insert(shape.begin(), values.size(0));
      parts.push_back(values.narrow(1, place, elements(output)).reshape(shape));
      place += elements(output);
    }
    take(first, parts);
  }
}

}  // namespace elbo
