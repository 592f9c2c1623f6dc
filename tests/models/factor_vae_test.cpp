#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <numbers>

#include "small_models.h"

namespace elbo {
namespace {

LossTerms of_phase(Model& model, const std::string& phase) {
  RandomGenerator noise(Key(4));
  return model.objective({phase, 10, 0}, rows("image", 6), noise);
}

TEST(FactorVae, AddsGammaTimesTheTotalCorrelationToTheBound) {
  const auto model = small_model("factor_vae", "image", {{"model.gamma", "35"}});
  RandomGenerator noise(Key(4));
  const torch::Tensor bound = model->evaluate(rows("image", 6), noise).loss;
  const LossTerms terms = of_phase(*model, "model");
  const torch::Tensor sum = part(terms, "reconstruction") + part(terms, "kl");
  EXPECT_TRUE(torch::allclose(bound, sum));
  EXPECT_TRUE(torch::allclose(terms.loss, sum + 35 * part(terms, "total_correlation")));
}

TEST(FactorVae, TheDiscriminatorsPhaseLeavesTheModelAlone) {
  const auto model = small_model("factor_vae", "image");
  of_phase(*model, "discriminator").loss.backward();
  for (const auto& parameter : model->named_parameters())
    EXPECT_EQ(parameter.value().grad().defined(), parameter.key().starts_with("discriminator."))
        << parameter.key();
}

// With one dimension, permuted codes have the distribution of codes: the best discriminator gives 1/2, with
// the loss log 2 per row.
TEST(FactorVae, WithOneDimensionTheDiscriminatorLearnsNothing) {
  const auto model =
      small_model("factor_vae", "tabular", {{"model.latent", "1"}, {"model.discriminator_hidden", "32,32"}});
  learn(*model, rows("tabular", 64), 100);
  double loss = 0;
  for (uint64_t draw = 0; draw < 20; ++draw) {
    RandomGenerator noise(Key(5).with(draw));
    loss += part(model->objective({"discriminator", 0, 0}, rows("tabular", 64), noise), "discriminator")
                .item<double>() /
            (20 * 64);
  }
  EXPECT_NEAR(loss, std::log(2.0), 0.01);
}

// Rows on a circle: two dimensions that encode it depend on each other. A weight on the total correlation
// reduces this.
TEST(FactorVae, ALargeGammaLowersTheTotalCorrelation) {
  RandomGenerator noise(Key(6));
  Batch batch = rows("tabular", 128);
  const torch::Tensor angle = 2 * std::numbers::pi * noise.uniform({128, 1});
  batch.x = 8 * torch::cat({angle.cos(), angle.sin()}, 1).repeat({1, 3});
  const auto correlation = [&](const char* gamma) {
    const auto model =
        small_model("factor_vae", "tabular",
                    {{"model.latent", "2"}, {"model.gamma", gamma}, {"model.discriminator_hidden", "32,32"}});
    learn(*model, batch, 400, 0.005);
    const torch::NoGradGuard no_grad;
    RandomGenerator draws(Key(7));
    return part(model->evaluate(batch, draws), "total_correlation").mean().item<double>();
  };
  const double unweighted = correlation("0");
  EXPECT_GT(unweighted, 0.2);
  EXPECT_LT(correlation("20"), 0.5 * unweighted);
}

}  // namespace
}  // namespace elbo
