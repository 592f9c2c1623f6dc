#include "elbo/eval/sample_quality.h"

#include <torch/types.h>

#include <algorithm>
#include <vector>

namespace elbo {
namespace {

// Rows of a matrix of distances that are in memory at once.
constexpr int64_t distances_at_once = 512;

torch::Tensor covariance(const torch::Tensor& x) {
  const torch::Tensor centred = x - x.mean(0);
  return centred.t().mm(centred) / (x.size(0) - 1);
}

// Squared distances of `some` (b, d) to all (m, d), whose squares (m) are known.
torch::Tensor squared_distances(const torch::Tensor& some, const torch::Tensor& all,
                                const torch::Tensor& squares) {
  return (squares + some.square().sum(1, /*keepdim=*/true) - 2 * some.mm(all.t())).clamp_min(0);
}

}  // namespace

double frechet_distance(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor x = a.to(torch::kFloat64), y = b.to(torch::kFloat64);
  const torch::Tensor of_x = covariance(x), of_y = covariance(y);
  // tr (Σ_a Σ_b)^½ is the sum of the roots of the eigenvalues of the symmetric matrix Σ_a^½ Σ_b Σ_a^½.
  const auto [values, vectors] = at::linalg_eigh(of_x);
  const torch::Tensor root = (vectors * values.clamp_min(0).sqrt()).mm(vectors.t());
  const torch::Tensor shared = at::linalg_eigvalsh(root.mm(of_y).mm(root)).clamp_min(0).sqrt().sum();
  return ((x.mean(0) - y.mean(0)).square().sum() + of_x.trace() + of_y.trace() - 2 * shared).item<double>();
}

double share_in_manifold(const torch::Tensor& points, const torch::Tensor& others, int64_t k) {
  // In float32, about the mean: distances are compared, and products are five times as fast.
  const torch::Tensor mean = others.to(torch::kFloat64).mean(0);
  const torch::Tensor x = (points - mean).to(torch::kFloat32), all = (others - mean).to(torch::kFloat32);
  const torch::Tensor squares = all.square().sum(1);
  std::vector<torch::Tensor> radii;
  for (int64_t first = 0; first < all.size(0); first += distances_at_once) {
    torch::Tensor distance = squared_distances(all.slice(0, first, first + distances_at_once), all, squares);
    // A point's distance to itself is 0, whatever rounding makes of it.
    distance.diagonal(first).zero_();
    radii.push_back(std::get<0>(distance.kthvalue(k + 1, 1)));
  }
  const torch::Tensor radius = torch::cat(radii);
  int64_t within = 0;
  for (int64_t first = 0; first < x.size(0); first += distances_at_once)
    within += squared_distances(x.slice(0, first, first + distances_at_once), all, squares)
                  .le(radius)
                  .any(1)
                  .sum()
                  .item<int64_t>();
  return static_cast<double>(within) / static_cast<double>(x.size(0));
}

}  // namespace elbo
