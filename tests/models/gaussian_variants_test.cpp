// The variants derived from GaussianVae, compared with known results.
#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/objectives/bounds.h"
#include "small_models.h"

namespace elbo {
namespace {

using Gradients = std::map<std::string, torch::Tensor>;

// Loss and gradients of one objective.
std::pair<torch::Tensor, Gradients> differentiate(Model& model, const Batch& batch, uint64_t seed = 5) {
  RandomGenerator noise(Key{seed});
  model.zero_grad();
  const torch::Tensor loss = model.objective({"model", 3, 0}, batch, noise).loss;
  loss.sum().backward();
  Gradients gradients;
  for (const auto& parameter : model.named_parameters())
    gradients[parameter.key()] = parameter.value().grad().clone();
  return {loss.detach(), gradients};
}

torch::Tensor weights_of(Model& model, const Batch& batch, int64_t k, RandomGenerator& noise) {
  const std::optional<torch::Tensor> weights = model.log_weights(batch, k, noise);
  return weights ? *weights : torch::Tensor();
}

TEST(BetaVae, WithBetaOneIsTheVaeToTheBit) {
  const auto [loss, gradients] = differentiate(*small_model("vae", "image"), rows("image", 6));
  const auto [same_loss, same] =
      differentiate(*small_model("beta_vae", "image", {{"model.beta", "1"}}), rows("image", 6));
  EXPECT_TRUE(torch::equal(loss, same_loss));
  for (const auto& [name, gradient] : gradients) EXPECT_TRUE(torch::equal(gradient, same.at(name))) << name;
}

TEST(BetaVae, ItsKlReachesTheCapacity) {
  const auto model = small_model(
      "beta_vae", "image", {{"model.capacity", "3"}, {"model.capacity_steps", "100"}, {"model.latent", "4"}});
  const Batch batch = rows("image", 16);
  learn(*model, batch, 400);
  RandomGenerator noise(Key(6));
  EXPECT_NEAR(part(model->evaluate(batch, noise), "kl").sum().item<double>() / 16, 3, 0.3);
}

// With one latent variable log p(x|c) is an integral over a line.
TEST(Cvae, ItsImportanceWeightedBoundIsTheIntegralOverZ) {
  const torch::NoGradGuard no_grad;
  const auto model =
      small_model("cvae", "labelled_image", {{"model.latent", "1"}, {"model.likelihood", "gaussian"}});
  const Batch batch = rows("labelled_image", 3);
  RandomGenerator noise(Key(7));
  const torch::Tensor bound = importance_weighted_bound(weights_of(*model, batch, 5000, noise));
  constexpr int64_t points = 2001;
  const torch::Tensor z = torch::linspace(-8, 8, points).unsqueeze(1);
  for (int64_t row = 0; row < 3; ++row) {
    const torch::Tensor mean =
        model->decode(z, batch.label[row].expand({points})).flatten(1).to(torch::kFloat64);
    const torch::Tensor log_joint = -0.5 * (mean - batch.x[row].flatten()).square().sum(1) -
                                    0.5 * z.squeeze(1).square().to(torch::kFloat64) -
                                    0.5 * (256 + 1) * std::log(2 * std::numbers::pi);
    const double exact = (log_joint.logsumexp(0) + std::log(16.0 / (points - 1))).item<double>();
    EXPECT_NEAR(bound[row].item<double>(), exact, 0.05);
  }
}

TEST(Cvae, LearnsWhatALabelMeans) {
  const auto model = small_model("cvae", "labelled_image", {{"model.latent", "2"}});
  Batch batch = rows("labelled_image", 30);
  batch.x = batch.label.view({-1, 1, 1, 1}).expand({-1, 1, 16, 16}) * 0.4 + 0.1;
  learn(*model, batch, 500);
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(8));
  for (int64_t label = 0; label < 3; ++label) {
    const torch::Tensor drawn =
        model->decode(model->prior_sample(20, {}, noise), torch::full({20}, label, torch::kInt64));
    EXPECT_NEAR(drawn.mean().item<double>(), 0.1 + 0.4 * static_cast<double>(label), 0.05);
  }
}

TEST(Cvae, TakesAttributesAndRefusesDataWithout) {
  EXPECT_EQ(refusal_of("cvae", "attributed_image"), "");
  EXPECT_THAT(refusal_of("cvae", "image"), testing::HasSubstr("label"));
}

TEST(BetaTcVae, WithWeightsOfOneItsLossIsTheBoundAtTheSample) {
  const auto model = small_model("beta_tc_vae", "image", {{"model.beta", "1"}});
  const Batch batch = rows("image", 9);
  RandomGenerator one(Key(5)), two(Key(5));
  const torch::Tensor loss = model->objective({"model", 0, 0}, batch, one).loss;
  EXPECT_TRUE(torch::allclose(loss, -weights_of(*model, batch, 1, two)[0], 1e-4, 1e-3));
}

TEST(Iwae, ItsLossIsTheBoundOfItsSamples) {
  const auto model = small_model("iwae", "image");
  const Batch batch = rows("image", 6);
  RandomGenerator one(Key(5)), two(Key(5));
  const torch::Tensor loss = model->objective({"model", 0, 0}, batch, one).loss;
  const torch::Tensor bound = importance_weighted_bound(weights_of(*model, batch, 5, two));
  EXPECT_TRUE(torch::allclose(loss, -bound));
}

// Both gradients have the same expectation; the decoder's is equal for the same samples.
TEST(Iwae, TheDoublyReparameterisedGradientHasTheSameMean) {
  Batch many = rows("tabular", 1);
  many.x = many.x.expand({40000, 6});
  const std::vector<Setting> settings{{"model.latent", "2"}, {"model.importance_samples", "3"}};
  const auto model = small_model("iwae", "tabular", settings);
  std::vector<Setting> with = settings;
  with.emplace_back("model.gradient", "dreg");
  const auto [loss, standard] = differentiate(*model, many);
  const auto [same_loss, dreg] = differentiate(*small_model("iwae", "tabular", with), many);
  EXPECT_TRUE(torch::allclose(loss, same_loss));
  for (const auto& [name, gradient] : standard) {
    const double size = gradient.norm().item<double>();
    const double apart = (gradient - dreg.at(name)).norm().item<double>();
    EXPECT_LT(apart, (name.starts_with("decoder") ? 1e-3 : 0.1) * size + 1) << name;
  }
}

TEST(Miwae, IsIwaeForOneGroupAndTheElboForOneSample) {
  const Batch batch = rows("image", 6);
  const auto one_group = differentiate(
      *small_model("miwae", "image", {{"model.groups", "1"}, {"model.importance_samples", "5"}}), batch);
  EXPECT_TRUE(torch::equal(one_group.first, differentiate(*small_model("iwae", "image"), batch).first));
  const auto model =
      small_model("miwae", "image", {{"model.groups", "4"}, {"model.importance_samples", "1"}});
  RandomGenerator noise(Key(5));
  const torch::Tensor mean_of_draws = weights_of(*model, batch, 4, noise).mean(0);
  EXPECT_TRUE(torch::allclose(differentiate(*model, batch).first, -mean_of_draws.to(torch::kFloat64)));
}

TEST(InfoVae, WithoutItsMmdIsTheVae) {
  const auto model = small_model("info_vae", "image", {{"model.alpha", "0"}, {"model.lambda", "1"}});
  const Batch batch = rows("image", 6);
  EXPECT_NEAR(differentiate(*model, batch).first.item<double>(),
              differentiate(*small_model("vae", "image"), batch).first.sum().item<double>(), 1e-2);
}

TEST(InfoVae, RefusesAWeightBelowZero) {
  EXPECT_THROW(small_model("info_vae", "image", {{"model.lambda", "0.5"}}), Error);
}

TEST(WaeMmd, MatchesTheCodesToThePrior) {
  const auto model = small_model("wae_mmd", "tabular", {{"model.latent", "2"}, {"model.lambda", "1000"}});
  Batch batch = rows("tabular", 128);
  batch.x = batch.x * 5 + 3;
  const auto far = [&] {
    const torch::NoGradGuard no_grad;
    const torch::Tensor z = model->encode(batch).z;
    return z.mean(0).norm().item<double>() + (z.var(0) - 1).abs().sum().item<double>();
  };
  learn(*model, batch, 20, 0.05);
  const double before = far();
  learn(*model, batch, 300);
  EXPECT_LT(far(), 0.7 * before + 0.3);
}

TEST(WaeMmd, WithADeterministicEncoderACodeIsTheMean) {
  const auto model = small_model("wae_mmd", "tabular", {{"model.posterior", "deterministic"}});
  const Batch batch = rows("tabular", 16);
  const Latent code = model->encode(batch);
  EXPECT_FALSE(code.logvar.has_value());
  EXPECT_FALSE(code.kl.has_value());
  RandomGenerator noise(Key(1)), other_noise(Key(2));
  const torch::Tensor loss = model->evaluate(batch, noise).loss;
  EXPECT_TRUE(torch::equal(loss, model->evaluate(batch, other_noise).loss));
  const LossTerms terms = model->objective({"model", 0, 0}, batch, noise);
  const torch::Tensor nats = part(terms, "reconstruction").sum(), penalty = part(terms, "mmd").sum();
  EXPECT_TRUE(torch::allclose(nats, loss.sum()));
  EXPECT_TRUE(torch::allclose(terms.loss, nats + penalty));
}

TEST(DipVae, ItsPenaltyIsTheCovariancesDistanceFromTheIdentity) {
  for (const std::string kind : {"i", "ii"}) {
    const auto model = small_model(
        "dip_vae", "tabular",
        {{"model.dip", kind}, {"model.lambda_od", "3"}, {"model.lambda_d", "2"}, {"model.latent", "3"}});
    const Batch batch = rows("tabular", 12);
    RandomGenerator noise(Key(5));
    const LossTerms terms = model->objective({"model", 0, 0}, batch, noise);
    const Latent code = model->encode(batch);
    double penalty = 0;
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < 3; ++j) {
        double covariance = 0;
        for (int64_t row = 0; row < 12; ++row)
          covariance += (code.z[row][i] - code.z.select(1, i).mean()).item<double>() *
                        (code.z[row][j] - code.z.select(1, j).mean()).item<double>() / 12;
        if (i == j && kind == "ii")
          covariance += code.logvar.value_or(torch::Tensor()).select(1, i).exp().mean().item<double>();
        penalty += i == j ? 2 * (covariance - 1) * (covariance - 1) : 3 * covariance * covariance;
      }
    EXPECT_NEAR(part(terms, "dip").sum().item<double>(), 12 * penalty, 1e-3);
    EXPECT_NEAR(terms.loss.item<double>(),
                part(terms, "reconstruction").sum().item<double>() + part(terms, "kl").sum().item<double>() +
                    12 * penalty,
                1e-2);
  }
}

TEST(DenoisingVae, LearnsToRestoreCorruptedRows) {
  const auto model = small_model("denoising_vae", "image",
                                 {{"model.corruption", "masking"}, {"model.corruption_level", "0.7"}});
  const auto plain = small_model("vae", "image");
  // Many copies of four images, so that corrupted ones cannot be distinguished by chance.
  Batch batch = rows("image", 4);
  batch.x = (batch.x > 0.5).to(torch::kFloat32).repeat({8, 1, 1, 1});
  learn(*model, batch, 300);
  learn(*plain, batch, 300);
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(9));
  Batch spoilt = batch;
  spoilt.x = batch.x * (noise.uniform(batch.x.sizes()) > 0.7);
  const auto error = [&](Model& tested) {
    return (tested.decode(tested.encode(spoilt).z, {}) - batch.x).square().mean().item<double>();
  };
  EXPECT_LT(error(*model), (spoilt.x - batch.x).square().mean().item<double>());
  EXPECT_LT(error(*model), 0.8 * error(*plain));
}

}  // namespace
}  // namespace elbo
