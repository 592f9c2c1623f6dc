#include "elbo/eval/mixture.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/base/index_range.h"

namespace elbo {
namespace {

// Points that the clusters at the start of the fit are made of, at most.
constexpr int64_t clustered_points = 4096;

torch::Tensor uniform_doubles(int64_t n, Key key) {
  torch::Tensor numbers = torch::empty({n}, torch::kFloat64);
  for (int64_t i = 0; i < n; ++i)
    numbers.mutable_data_ptr<double>()[i] =
        std::ldexp(static_cast<double>(key.with(static_cast<uint64_t>(i)).value() >> 11U), -53);
  return numbers;
}

// Squared distances of points (n, d) to centres (k, d).
torch::Tensor distances_to(const torch::Tensor& points, const torch::Tensor& centres) {
  std::vector<torch::Tensor> columns;
  columns.reserve(static_cast<size_t>(centres.size(0)));
  for (const torch::Tensor& centre : centres.unbind(0)) columns.push_back((points - centre).square().sum(1));
  return torch::stack(columns, 1);
}

// k-means++: each centre is a point, chosen with a probability in proportion to its squared distance to the
// nearest centre so far; of several candidates the one that leaves the least sum of distances.
torch::Tensor first_centres(const torch::Tensor& points, int64_t k, Key key) {
  const auto candidates = static_cast<int64_t>(2 + std::log(static_cast<double>(k)));
  const int64_t n = points.size(0);
  torch::Tensor nearest = torch::full({n}, std::numeric_limits<double>::infinity(), torch::kFloat64);
  std::vector<torch::Tensor> centres;
  for (int64_t c = 0; c < k; ++c) {
    const torch::Tensor mass = c == 0 ? torch::ones({n}, torch::kFloat64) : nearest;
    const torch::Tensor cumulative = mass.cumsum(0);
    const torch::Tensor chosen = torch::searchsorted(
        cumulative,
        uniform_doubles(c == 0 ? 1 : candidates, key.with(static_cast<uint64_t>(c))) * cumulative[-1],
        /*out_int32=*/false, /*right=*/true);
    torch::Tensor best;
    double least = std::numeric_limits<double>::infinity();
    for (const torch::Tensor& id : chosen.clamp_max(n - 1).unbind(0)) {
      const torch::Tensor left =
          torch::minimum(nearest, (points - points[id.item<int64_t>()]).square().sum(1));
      if (const double sum = left.sum().item<double>(); sum < least || !best.defined()) {
        least = sum;
        best = left;
        if (std::ssize(centres) > c) centres.pop_back();
        centres.push_back(points[id.item<int64_t>()]);
      }
    }
    nearest = best;
  }
  return torch::stack(centres);
}

// Lower Cholesky factors of covariances (k, d, d), with the ridge.
torch::Tensor factors_of(const torch::Tensor& covariances, double ridge) {
  const int64_t d = covariances.size(-1);
  return at::linalg_cholesky(covariances + ridge * torch::eye(d, torch::kFloat64));
}

// The clusters as a mixture: their shares, means and covariances. A cluster without enough points for a
// covariance has that of all points.
GaussianMixture clusters(const torch::Tensor& points, int64_t k, double ridge, Key key) {
  constexpr int rounds = 20;
  torch::Tensor centres = first_centres(points, k, key), cluster;
  for (int round = 0; round < rounds; ++round) {
    cluster = distances_to(points, centres).argmin(1);
    for (int64_t c = 0; c < k; ++c)
      if (const torch::Tensor own = points.index_select(0, cluster.eq(c).nonzero().squeeze(1));
          own.size(0) > 0)
        centres[c].copy_(own.mean(0));
  }
  const auto covariance = [](const torch::Tensor& some) {
    const torch::Tensor centred = some - some.mean(0);
    return centred.t().mm(centred) / some.size(0);
  };
  const torch::Tensor of_all = covariance(points);
  std::vector<torch::Tensor> covariances;
  torch::Tensor counts = torch::zeros({k}, torch::kFloat64);
  for (int64_t c = 0; c < k; ++c) {
    const torch::Tensor own = points.index_select(0, cluster.eq(c).nonzero().squeeze(1));
    counts[c] = own.size(0);
    covariances.push_back(own.size(0) > points.size(1) ? covariance(own) : of_all);
  }
  return {counts / counts.sum(), centres, factors_of(torch::stack(covariances), ridge)};
}

// log π_k + log N(x | μ_k, Σ_k), (n, k).
torch::Tensor joint_log_prob(const GaussianMixture& mixture, const torch::Tensor& points) {
  const double constant = 0.5 * static_cast<double>(mixture.dimensions()) * std::log(2 * std::numbers::pi);
  std::vector<torch::Tensor> columns;
  columns.reserve(static_cast<size_t>(mixture.components()));
  for (int64_t k = 0; k < mixture.components(); ++k) {
    const torch::Tensor factor = mixture.factors[k];
    const torch::Tensor standardized =
        at::linalg_solve_triangular(factor, (points - mixture.means[k]).t(), /*upper=*/false);
    columns.push_back(mixture.weights[k].log() - constant - factor.diagonal().log().sum() -
                      0.5 * standardized.square().sum(0));
  }
  return torch::stack(columns, 1);
}

// Sums over points, for one step: of responsibilities (k), of deviations from the means before (k, d), of
// their products (k, d, d), and of log p, end to end.
struct Statistics {
  int64_t k, d;
  int64_t size() const { return k * (1 + d + d * d) + 1; }

  torch::Tensor of(const GaussianMixture& mixture, const torch::Tensor& points) const {
    if (points.size(0) == 0) return torch::zeros({size()}, torch::kFloat64);
    const torch::Tensor joint = joint_log_prob(mixture, points), log_prob = joint.logsumexp(1);
    const torch::Tensor share = (joint - log_prob.unsqueeze(1)).exp();  // responsibilities
    std::vector<torch::Tensor> parts{share.sum(0)}, products;
    for (int64_t c = 0; c < k; ++c) {
      const torch::Tensor deviation = points - mixture.means[c];
      const torch::Tensor weighted = deviation * share.select(1, c).unsqueeze(1);
      parts.push_back(weighted.sum(0));
      products.push_back(weighted.t().mm(deviation).flatten());
    }
    parts.insert(parts.end(), products.begin(), products.end());
    parts.push_back(log_prob.sum().unsqueeze(0));
    return torch::cat(parts);
  }

  // The mixture that the sums lead to. A component with less than a point keeps its shape.
  GaussianMixture maximise(const GaussianMixture& before, const torch::Tensor& sums, double ridge) const {
    const torch::Tensor counts = sums.narrow(0, 0, k);
    const torch::Tensor shift = sums.narrow(0, k, k * d).view({k, d}) / counts.unsqueeze(1);
    const torch::Tensor products = sums.narrow(0, k + k * d, k * d * d).view({k, d, d});
    GaussianMixture after{counts / counts.sum(), before.means.clone(), before.factors.clone()};
    for (int64_t c = 0; c < k; ++c) {
      if (counts[c].item<double>() < 1) continue;
      after.means[c] += shift[c];
      after.factors[c] = factors_of(products[c] / counts[c] - shift[c].outer(shift[c]), ridge);
    }
    return after;
  }
};

// At most about clustered_points points (n, d), at equal distances, on rank 0; on the others (0, d).
// Collective.
torch::Tensor spread_points(Communicator& world, const SharedPoints& points, int64_t d) {
  const IndexRange own = partition({0, points.parts}, world.rank(), world.size());
  const std::vector<int64_t> sizes = sizes_of_parts(world, points);
  int64_t total = 0;
  for (const int64_t size : sizes) total += size;
  const int64_t stride = std::max<int64_t>(1, (total + clustered_points - 1) / clustered_points);
  std::vector<torch::Tensor> taken{torch::empty({0, d}, torch::kFloat64)};
  std::vector<int64_t> counts(static_cast<size_t>(world.size()), 0);
  int64_t before = 0;  // points of the parts before
  for (int rank = 0; rank < world.size(); ++rank) {
    const IndexRange range = partition({0, points.parts}, rank, world.size());
    for (int64_t part = range.first; part < range.end; ++part) {
      const int64_t size = sizes[static_cast<size_t>(part)], skip = (stride - before % stride) % stride;
      const int64_t here = size > skip ? (size - skip - 1) / stride + 1 : 0;
      counts[static_cast<size_t>(rank)] += here * d;
      if (rank == world.rank() && here > 0)
        taken.push_back(points.own[static_cast<size_t>(part - own.first)].slice(0, skip, size, stride));
      before += size;
    }
  }
  return gather(world, torch::cat(taken).contiguous(), counts, 0).view({-1, d});
}

// Makes rank 0's values those of all ranks, whose CPUs may round factorisations in different ways.
void share(Communicator& world, GaussianMixture& mixture) {
  for (torch::Tensor* tensor : {&mixture.weights, &mixture.means, &mixture.factors}) {
    *tensor = tensor->contiguous();
    world.broadcast(*tensor, 0);
  }
}

GaussianMixture empty_mixture(int64_t k, int64_t d) {
  return {torch::zeros({k}, torch::kFloat64), torch::zeros({k, d}, torch::kFloat64),
          torch::zeros({k, d, d}, torch::kFloat64)};
}

}  // namespace

torch::Tensor GaussianMixture::log_prob(const torch::Tensor& points) const {
  return joint_log_prob(*this, points).logsumexp(1);
}

torch::Tensor choose_components(const torch::Tensor& weights, int64_t n, RandomGenerator& noise) {
  const torch::Tensor ends = weights.cumsum(0);
  return torch::searchsorted(ends, noise.uniform({n}).to(torch::kFloat64) * ends[-1], /*out_int32=*/false,
                             /*right=*/true)
      .clamp_max(weights.size(0) - 1);
}

torch::Tensor GaussianMixture::sample(int64_t n, RandomGenerator& noise) const {
  const torch::Tensor chosen = choose_components(weights, n, noise);
  const torch::Tensor standard = noise.normal({n, dimensions()}).to(torch::kFloat64);
  torch::Tensor points = torch::empty({n, dimensions()}, standard.options());
  for (int64_t k = 0; k < components(); ++k) {
    const torch::Tensor own = chosen.eq(k).nonzero().squeeze(1);
    points.index_copy_(0, own, means[k] + standard.index_select(0, own).mm(factors[k].t()));
  }
  return points.to(torch::kFloat32);
}

MixtureFit fit_mixture(Communicator& world, Workers& workers, const SharedPoints& points,
                       const MixtureOptions& options, Key key) {
  const torch::NoGradGuard no_grad;
  const int64_t k = options.components;
  const Moments moments = moments_of(world, workers, points);
  const int64_t d = moments.mean.size(0);
  if (moments.count < static_cast<double>(k))
    fail("a mixture of {} components needs as many points; there are {}", k, moments.count);
  const double variance = moments.variance.mean().clamp_min(0).item<double>();
  const double ridge = options.ridge * (variance > 0 ? variance : 1);
  MixtureFit result{.mixture = empty_mixture(k, d)};
  const torch::Tensor some = spread_points(world, points, d);
  if (world.rank() == 0) result.mixture = clusters(some, k, ridge, key);
  share(world, result.mixture);
  const Statistics statistics{k, d};
  double before = -std::numeric_limits<double>::infinity();
  while (result.iterations < options.iterations) {
    const torch::Tensor sums =
        sum_over_points(world, workers, points, statistics.size(),
                        [&](const torch::Tensor& part) { return statistics.of(result.mixture, part); });
    result.log_prob = sums[-1].item<double>() / moments.count;
    if (!(result.log_prob - before >= options.gain)) break;
    before = result.log_prob;
    result.mixture = statistics.maximise(result.mixture, sums, ridge);
    share(world, result.mixture);
    ++result.iterations;
  }
  return result;
}

}  // namespace elbo
