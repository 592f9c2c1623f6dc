// A mixture of Gaussians with full covariances, fitted to points that the ranks share by expectation
// maximisation (Dempster, Laird & Rubin 1977; Bishop 2006, section 9.2.2). The fit has the same bits for
// every number of ranks and workers. In double precision.
#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/base/random.h"
#include "elbo/comm/communicator.h"
#include "elbo/eval/shared_points.h"
#include "elbo/parallel/workers.h"

namespace elbo {

// All float64. Copies share their tensors.
struct GaussianMixture {
  torch::Tensor weights;  // (k), their sum is 1
  torch::Tensor means;    // (k, d)
  torch::Tensor factors;  // (k, d, d): the lower Cholesky factors of the covariances

  int64_t components() const { return means.size(0); }
  int64_t dimensions() const { return means.size(1); }
  torch::Tensor log_prob(const torch::Tensor& points) const;      // (n, d) float64 → (n), nats
  torch::Tensor sample(int64_t n, RandomGenerator& noise) const;  // (n, d) float32, on the tensors' device
  GaussianMixture to(torch::Device device) const {
    return {weights.to(device), means.to(device), factors.to(device)};
  }
};

// n of the components with such weights (k) float64, at random: (n) int64, on their device.
torch::Tensor choose_components(const torch::Tensor& weights, int64_t n, RandomGenerator& noise);

struct MixtureOptions {
  int64_t components = 10;
  int64_t iterations = 200;  // at most
  double gain = 1e-3;        // it ends when the mean of log p rises by less, nats
  // Added to the diagonals of covariances, in units of the mean variance of a dimension: a dimension that is
  // the same for all points has one, too.
  double ridge = 1e-6;
};

struct MixtureFit {
  GaussianMixture mixture;
  double log_prob = 0;     // mean over the points, nats
  int64_t iterations = 0;  // that were made
};

// The fit begins with clusters of some thousands of the points: centres by k-means++ (Arthur & Vassilvitskii
// 2007), moved by Lloyd's algorithm. There must be at least as many points as components. All ranks call it,
// and each gets the result.
MixtureFit fit_mixture(Communicator& world, Workers& workers, const SharedPoints& points,
                       const MixtureOptions& options, Key key);

}  // namespace elbo
