#include "elbo/nn/distributions.h"

#include <gmock/gmock.h>
#include <torch/types.h>

#include <cmath>
#include <numbers>

namespace elbo {
namespace {

TEST(Mixtures, TheDensityIntegratesToOneOverALine) {
  RandomGenerator noise(Key(1));
  const DiagonalNormal components{3 * noise.normal({5, 1}), noise.normal({5, 1})};
  const torch::Tensor z = torch::arange(-30, 30, 1e-3).unsqueeze(1);
  EXPECT_NEAR(mixture_log_prob(components, z).exp().sum(0, false, torch::kFloat64).item<double>() * 1e-3, 1,
              1e-4);
}

TEST(Mixtures, TheDensityIntegratesToOneOverAPlane) {
  RandomGenerator noise(Key(2));
  const DiagonalNormal components{2 * noise.normal({4, 2}), noise.normal({4, 2})};
  const torch::Tensor line = torch::arange(-15, 15, 0.05);
  const std::vector<torch::Tensor> grid = torch::meshgrid({line, line}, "ij");
  const torch::Tensor density = mixture_log_prob(components, torch::stack(grid, 2)).exp();
  EXPECT_NEAR(density.sum(torch::kFloat64).item<double>() * 0.05 * 0.05, 1, 1e-4);
}

TEST(Mixtures, TheDensityIsTheMeanOfThoseOfTheComponents) {
  RandomGenerator noise(Key(3));
  const DiagonalNormal components{noise.normal({3, 2}), noise.normal({3, 2})};
  const torch::Tensor z = noise.normal({4, 2});
  const torch::Tensor found = mixture_log_prob(components, z);
  for (int64_t row = 0; row < 4; ++row) {
    double density = 0;
    for (int64_t k = 0; k < 3; ++k) {
      double log_prob = 0;
      for (int64_t i = 0; i < 2; ++i) {
        const double logvar = components.logvar[k][i].item<double>();
        const double distance = z[row][i].item<double>() - components.mean[k][i].item<double>();
        log_prob -= 0.5 * (distance * distance / std::exp(logvar) + logvar + std::log(2 * std::numbers::pi));
      }
      density += std::exp(log_prob) / 3;
    }
    EXPECT_NEAR(found[row].item<double>(), std::log(density), 1e-5);
  }
}

TEST(Mixtures, TheDensityFarFromAllComponentsIsFinite) {
  const DiagonalNormal components{torch::zeros({2, 1}), torch::zeros({2, 1})};
  EXPECT_NEAR(mixture_log_prob(components, torch::full({1, 1}, 100.0)).item<double>(),
              -5000 - 0.5 * std::log(2 * std::numbers::pi), 1e-2);
}

TEST(Bounded, InsideTheRangeNothingChangesAndOutsideTheGradientLeadsBack) {
  torch::Tensor x = torch::tensor({-100.0F, -30.0F, -0.1F, 7.3F, 20.0F, 1e9F}).requires_grad_();
  const torch::Tensor inside = bounded(x, -30, 20);
  EXPECT_TRUE(torch::equal(inside, torch::tensor({-30.0F, -30.0F, -0.1F, 7.3F, 20.0F, 20.0F})));
  (inside * torch::arange(1, 7)).sum().backward();
  EXPECT_TRUE(torch::equal(x.grad(), torch::arange(1, 7).to(torch::kFloat32)));
}

TEST(DiagonalNormal, AnEncodersLogVariancesAreBoundedSoThatNothingOverflows) {
  torch::Tensor output = torch::tensor({{0.0F, 1.0F, -2.0F, 1e4F, -1e4F, 0.5F}}).requires_grad_();
  const DiagonalNormal posterior = DiagonalNormal::of(output);
  EXPECT_TRUE(torch::equal(posterior.logvar, torch::tensor({{20.0F, -30.0F, 0.5F}})));
  posterior.kl_to_standard().sum().backward();
  EXPECT_TRUE(output.grad().isfinite().all().item<bool>());
  EXPECT_GT(output.grad()[0][3].item<double>(), 0) << "the KL pulls a large variance back";
  EXPECT_LT(output.grad()[0][4].item<double>(), 0) << "and a small one";
}

TEST(CumulativeSum, ByDoublingIsTheOneFromLeftToRight) {
  for (const int64_t size : {1, 2, 7, 64, 100})
    for (const int64_t dim : {0, 1}) {
      const torch::Tensor values = torch::arange(size * 3).view({size, 3}).to(torch::kFloat32);  // exact sums
      const torch::Tensor along = dim == 0 ? values : values.t();
      EXPECT_TRUE(torch::equal(scan_by_doubling(along, dim), along.cumsum(dim))) << size << " along " << dim;
    }
}

}  // namespace
}  // namespace elbo
