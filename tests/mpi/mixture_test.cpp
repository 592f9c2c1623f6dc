// The fit of a mixture of Gaussians, whose truth is known, by all ranks.
#include "elbo/eval/mixture.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "elbo/base/index_range.h"
#include "elbo/comm/self.h"
#include "ranks.h"

namespace elbo {
namespace {

// Three components that overlap little: elongated, round and small.
GaussianMixture truth() {
  const auto options = torch::dtype(torch::kFloat64);
  return {torch::tensor({0.5, 0.3, 0.2}, options),
          torch::tensor({0., 0., 0., 6., 6., 0., -5., 4., 3.}, options).view({3, 3}),
          torch::stack({torch::tensor({2., 0., 0., 1.2, 0.5, 0., -0.6, 0.2, 1.}, options).view({3, 3}),
                        torch::eye(3, options), 0.3 * torch::eye(3, options)})};
}

torch::Tensor covariances(const GaussianMixture& mixture) {
  return mixture.factors.matmul(mixture.factors.transpose(1, 2));
}

// The points of a rank, in parts of 100, some of which are empty.
SharedPoints points_of(const torch::Tensor& points, const Communicator& comm) {
  std::vector<torch::Tensor> parts;
  for (int64_t first = 0; first < points.size(0); first += 100) {
    parts.push_back(points.slice(0, first, first + 100));
    if (parts.size() % 7 == 3) parts.push_back(points.slice(0, 0, 0));
  }
  SharedPoints shared{.parts = std::ssize(parts), .own = {}};
  const IndexRange own = partition({0, shared.parts}, comm.rank(), comm.size());
  shared.own.assign(parts.begin() + own.first, parts.begin() + own.end);
  return shared;
}

torch::Tensor points_of_truth(int64_t n) {
  RandomGenerator noise(Key(1));
  return truth().sample(n, noise).to(torch::kFloat64);
}

TEST(Mixture, FindsTheTruth) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor points = points_of_truth(20000);
  Workers workers(1 + world().rank() % 2);
  const MixtureFit fit = fit_mixture(world(), workers, points_of(points, world()), {.components = 3}, Key(2));
  const torch::Tensor order = fit.mixture.weights.argsort(0, /*descending=*/true);
  const auto within = [&](const torch::Tensor& found, const torch::Tensor& wanted, double tolerance) {
    EXPECT_LT((found.index_select(0, order) - wanted).abs().max().item<double>(), tolerance) << found;
  };
  within(fit.mixture.weights, truth().weights, 0.01);
  within(fit.mixture.means, truth().means, 0.06);
  within(covariances(fit.mixture), covariances(truth()), 0.15);
  // No other mixture explains the points better; the truth explains them about as well.
  const double of_truth = truth().log_prob(points).mean().item<double>();
  EXPECT_GT(fit.log_prob, of_truth);
  EXPECT_LT(fit.log_prob, of_truth + 0.005);
  EXPECT_NEAR(fit.log_prob, fit.mixture.log_prob(points).mean().item<double>(), 1e-3);
}

TEST(Mixture, HasTheSameBitsOnAnyNumberOfRanksAndWorkers) {
  const torch::Tensor points = points_of_truth(3000);
  Workers workers(1 + world().rank() % 2), alone_workers(3);
  const MixtureFit all = fit_mixture(world(), workers, points_of(points, world()), {.components = 5}, Key(2));
  const auto self = make_self_communicator();
  const MixtureFit alone =
      fit_mixture(*self, alone_workers, points_of(points, *self), {.components = 5}, Key(2));
  EXPECT_GT(all.iterations, 3);
  EXPECT_EQ(all.iterations, alone.iterations);
  EXPECT_EQ(all.log_prob, alone.log_prob);
  EXPECT_TRUE(torch::equal(all.mixture.weights, alone.mixture.weights));
  EXPECT_TRUE(torch::equal(all.mixture.means, alone.mixture.means));
  EXPECT_TRUE(torch::equal(all.mixture.factors, alone.mixture.factors));
}

TEST(Mixture, OfOneComponentIsTheMeanAndTheCovariance) {
  const torch::Tensor points = points_of_truth(1000);
  Workers workers(1);
  const MixtureFit fit =
      fit_mixture(world(), workers, points_of(points, world()), {.components = 1, .ridge = 0}, Key(2));
  const torch::Tensor centred = points - points.mean(0);
  EXPECT_TRUE(torch::allclose(fit.mixture.means[0], points.mean(0)));
  EXPECT_TRUE(torch::allclose(covariances(fit.mixture)[0], centred.t().mm(centred) / 1000));
  EXPECT_DOUBLE_EQ(fit.mixture.weights.item<double>(), 1);
  // The entropy of a normal distribution is -log p at the maximum.
  EXPECT_NEAR(fit.log_prob,
              -0.5 * (3 * (1 + std::log(2 * M_PI)) +
                      2 * fit.mixture.factors[0].diagonal().log().sum().item<double>()),
              1e-9);
}

// Points on a line, equal points, more components than clusters: covariances without an inverse.
TEST(Mixture, OfDegeneratePointsIsFinite) {
  torch::Tensor points = points_of_truth(400);
  points.slice(0, 0, 100).fill_(1);
  points.select(1, 2).fill_(3);
  Workers workers(1);
  const MixtureFit fit = fit_mixture(world(), workers, points_of(points, world()), {.components = 8}, Key(2));
  EXPECT_TRUE(std::isfinite(fit.log_prob));
  RandomGenerator noise(Key(3));
  const torch::Tensor samples = fit.mixture.sample(200, noise);
  EXPECT_TRUE(samples.isfinite().all().item<bool>());
  EXPECT_LT((samples.select(1, 2) - 3).abs().max().item<double>(), 0.05);
}

// Samples have the moments of the mixture.
TEST(Mixture, SamplesFollowIt) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor points = points_of_truth(40000), mean = truth().weights.matmul(truth().means);
  EXPECT_LT((points.mean(0) - mean).abs().max().item<double>(), 0.08);
  const torch::Tensor deviation = truth().means - mean;
  const torch::Tensor between = deviation.t().mm(deviation * truth().weights.unsqueeze(1));
  const torch::Tensor within = (covariances(truth()) * truth().weights.view({3, 1, 1})).sum(0);
  const torch::Tensor centred = points - points.mean(0);
  EXPECT_LT((centred.t().mm(centred) / 40000 - between - within).abs().max().item<double>(), 0.4);
}

}  // namespace
}  // namespace elbo
