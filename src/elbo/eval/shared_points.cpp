#include "elbo/eval/shared_points.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <numeric>

#include "elbo/base/index_range.h"
#include "elbo/parallel/sum_over_ranks.h"
#include "elbo/parallel/tree_sum.h"

namespace elbo {
namespace {

IndexRange own_parts(const Communicator& world, const SharedPoints& points) {
  return partition({0, points.parts}, world.rank(), world.size());
}

}  // namespace

int64_t count_points(Communicator& world, const SharedPoints& points) {
  const std::vector<int64_t> sizes = sizes_of_parts(world, points);
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
}

int64_t dimensions_of(Communicator& world, const SharedPoints& points) {
  torch::Tensor width = torch::tensor({points.own.empty() ? int64_t{0} : points.own.front().size(1)});
  world.all_reduce(width, ReduceOp::max);
  return width.item<int64_t>();
}

std::vector<int64_t> sizes_of_parts(Communicator& world, const SharedPoints& points) {
  const IndexRange own = own_parts(world, points);
  torch::Tensor sizes = torch::zeros({points.parts}, torch::kInt64);
  for (int64_t part = own.first; part < own.end; ++part)
    sizes[part] = points.own[static_cast<size_t>(part - own.first)].size(0);
  world.all_reduce(sizes, ReduceOp::sum);
  return {sizes.const_data_ptr<int64_t>(), sizes.const_data_ptr<int64_t>() + points.parts};
}

torch::Tensor sum_over_points(Communicator& world, Workers& workers, const SharedPoints& points,
                              int64_t elements,
                              const std::function<torch::Tensor(const torch::Tensor& part)>& function) {
  const IndexRange own = own_parts(world, points);
  TreeAccumulator accumulator(points.parts, elements, torch::kFloat64);
  std::vector<torch::Tensor> values(static_cast<size_t>(workers.count()));
  for (int64_t first = own.first; first < own.end; first += workers.count()) {
    const int64_t count = std::min<int64_t>(workers.count(), own.end - first);
    workers.run([&](int worker) {
      const torch::NoGradGuard no_grad;
      if (worker < count)
        values[static_cast<size_t>(worker)] =
            function(points.own[static_cast<size_t>(first - own.first + worker)]);
    });
    for (int64_t i = 0; i < count; ++i) accumulator.add(first + i, values[static_cast<size_t>(i)]);
  }
  return sum_over_ranks(world, accumulator.parts(), points.parts, {elements}, torch::kFloat64);
}

Moments moments_of(Communicator& world, Workers& workers, const SharedPoints& points) {
  const int64_t d = dimensions_of(world, points);
  const torch::Tensor sums =
      sum_over_points(world, workers, points, 2 * d + 1, [](const torch::Tensor& some) {
        return torch::cat(
            {torch::full({1}, some.size(0), torch::kFloat64), some.sum(0), some.square().sum(0)});
      });
  const auto count = sums[0].item<double>();
  const torch::Tensor mean = sums.narrow(0, 1, d) / count;
  return {.count = count, .mean = mean, .variance = sums.narrow(0, d + 1, d) / count - mean.square()};
}

torch::Tensor all_points(Communicator& world, const SharedPoints& points, int64_t d) {
  const std::vector<int64_t> sizes = sizes_of_parts(world, points);
  std::vector<int64_t> counts;
  counts.reserve(static_cast<size_t>(world.size()));
  int64_t rows = 0, own_first = 0;
  for (int rank = 0; rank < world.size(); ++rank) {
    const IndexRange range = partition({0, points.parts}, rank, world.size());
    if (rank == world.rank()) own_first = rows;
    const int64_t count = std::accumulate(sizes.begin() + range.first, sizes.begin() + range.end, int64_t{0});
    counts.push_back(count * d);
    rows += count;
  }
  torch::Tensor all = torch::empty({rows, d}, torch::kFloat64);
  int64_t first = own_first;
  for (const torch::Tensor& part : points.own) {
    all.narrow(0, first, part.size(0)).copy_(part);
    first += part.size(0);
  }
  torch::Tensor flat = all.view({-1});
  world.all_gather(flat, counts);
  return all;
}

}  // namespace elbo
