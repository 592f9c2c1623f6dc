// Annealed importance sampling where log p(x) is known: probabilistic PCA (Tipping & Bishop 1999), x = Wz + b
// + σε, is a VAE without hidden layers, and x ~ N(b, WWᵀ + σ²I).
#include "elbo/eval/annealing.h"

#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "elbo/models/registry.h"

namespace elbo {
namespace {

class Annealing : public testing::Test {
 protected:
  static constexpr int64_t features = 5, latent = 3, rows = 4;
  static constexpr double sigma = 0.3;

  void SetUp() override {
    const std::unique_ptr<ModelSpec> spec = find_model("vae");
    OptionTable table;
    spec->bind(table);
    table.set({"model.latent", "3"}, "");
    table.set({"model.likelihood", "gaussian"}, "");
    table.set({"model.likelihood_scale", "0.3"}, "");
    NetworkOptions network;
    network.kind = "mlp";
    network.hidden = {};
    RandomGenerator noise(Key(1));
    model_ =
        spec->build({.data = {.x = {features}, .kind = "tabular"}, .network = network, .name = "vae"}, noise);
    const torch::Tensor w = noise.normal({features, latent}), b = noise.normal({features});
    for (auto& parameter : model_->named_parameters())  // the encoder's have no effect
      if (parameter.key().starts_with("decoder"))
        parameter.value().copy_(parameter.value().dim() == 2 ? w : b);
    batch_ = {noise.normal({rows, latent}).matmul(w.t()) + b + sigma * noise.normal({rows, features}),
              {},
              torch::arange(rows)};
    const torch::Tensor w64 = w.to(torch::kFloat64);
    const torch::Tensor covariance =
        w64.matmul(w64.t()) + sigma * sigma * torch::eye(features, torch::kFloat64);
    const torch::Tensor factor = at::linalg_cholesky(covariance),
                        deviation = (batch_.x - b).to(torch::kFloat64);
    exact_ = -0.5 * at::linalg_solve_triangular(factor, deviation.t(), /*upper=*/false).square().sum(0) -
             factor.diagonal().log().sum() - 0.5 * features * std::log(2 * M_PI);
  }

  AnnealedEstimate estimate(const AnnealingOptions& options) {
    RandomGenerator noise(Key(2));
    return anneal(*model_, batch_, options, noise);
  }

  const torch::NoGradGuard no_grad_;
  std::shared_ptr<Model> model_;
  Batch batch_;
  torch::Tensor exact_;  // log p(x), (rows)
};

TEST_F(Annealing, FindsTheLikelihoodOfProbabilisticPca) {
  const AnnealedEstimate found = estimate({.chains = 1000, .temperatures = 200});
  // Over seeds, the error of a row has a standard deviation of 0.06.
  EXPECT_TRUE(torch::allclose(found.log_likelihood, exact_, 0, 0.3)) << found.log_likelihood << exact_;
  EXPECT_NEAR((found.log_likelihood - exact_).mean().item<double>(), 0, 0.15);
  EXPECT_GT(found.acceptance.min().item<double>(), 0.5);
  EXPECT_LT(found.acceptance.max().item<double>(), 1.0);
}

// With one temperature it is importance sampling from the prior: 1/k Σ p(x|z).
TEST_F(Annealing, RisesToTheLikelihoodWithTheNumberOfTemperatures) {
  const auto error_of = [&](int64_t temperatures) {
    return (exact_ - estimate({.chains = 4, .temperatures = temperatures}).log_likelihood)
        .mean()
        .item<double>();
  };
  const double one = error_of(1), ten = error_of(10), hundred = error_of(100);
  // Over seeds: 6 to 57, 0.6 to 4.2, and at most 0.7 from 0.
  EXPECT_GT(one, 4);
  EXPECT_LT(ten, one);
  EXPECT_LT(std::abs(hundred), one / 4);
}

}  // namespace
}  // namespace elbo
