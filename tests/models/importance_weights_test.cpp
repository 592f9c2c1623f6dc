#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>

#include "elbo/models/registry.h"
#include "elbo/nn/distributions.h"
#include "elbo/objectives/bounds.h"
#include "small_models.h"

namespace elbo {
namespace {

// Rows whose values are a thousand times those of the data.
Batch far_rows(const std::string& data, int64_t n) {
  Batch batch = rows(data, n);
  batch.x = batch.x * 1000;
  return batch;
}

// log p(x,z)/q(z|x), from the noise, in float64: log q of the noise, z = mean + σ·ε, p(z) = N(0, I), p(x|z) =
// N(decoded mean, I).
TEST(ImportanceWeights, AreThoseOfAnIndependentComputationAlsoFarFromTheData) {
  const torch::NoGradGuard no_grad;
  const auto model = small_model("vae", "tabular", {{"model.likelihood", "gaussian"}});
  for (const double scale : {1.0, 30.0, 1000.0}) {
    Batch batch = rows("tabular", 4);
    batch.x = batch.x * scale;
    RandomGenerator noise(Key(3));
    const torch::Tensor found = *model->log_weights(batch, 5, noise);

    RandomGenerator same(Key(3));
    const torch::Tensor epsilon = same.normal({5, 4, model->latent_size()}).to(torch::kFloat64);
    const Latent code = model->encode(batch);
    const torch::Tensor logvar = code.logvar->to(torch::kFloat64);
    const torch::Tensor z = code.z.to(torch::kFloat64) + (0.5 * logvar).exp() * epsilon;
    const auto log_two_pi = std::log(2 * std::numbers::pi);
    const torch::Tensor log_q = -0.5 * (epsilon.square() + logvar + log_two_pi).sum(-1);
    const torch::Tensor log_prior = -0.5 * (z.square() + log_two_pi).sum(-1);
    const torch::Tensor decoded = model->decode(z.flatten(0, 1).to(torch::kFloat32), {}).to(torch::kFloat64);
    const torch::Tensor error = decoded.view({5, 4, -1}) - batch.x.to(torch::kFloat64);
    const torch::Tensor log_likelihood = -0.5 * (error.square() + log_two_pi).sum(-1);
    EXPECT_TRUE(torch::allclose(found.to(torch::kFloat64), log_prior + log_likelihood - log_q, 1e-4, 1e-3))
        << scale << "\n"
        << found << log_prior + log_likelihood - log_q;
  }
}

TEST(ImportanceWeights, OfRowsFarFromTheDataAreFiniteForEveryModel) {
  const torch::NoGradGuard no_grad;
  int tested = 0;
  for (const Case& each : accepted_cases()) {
    if (each.data != "tabular" && each.data != "sequence") continue;
    const auto model = small_model(each.model, each.data);
    const Batch batch = far_rows(each.data, 3);
    RandomGenerator noise(Key(4));
    const auto found = model->log_weights(batch, 4, noise);
    if (!found) continue;
    ++tested;
    const torch::Tensor nll = -importance_weighted_bound(*found);
    EXPECT_TRUE(nll.isfinite().all().item<bool>()) << each << nll;
    EXPECT_TRUE(model->evaluate(batch, noise).loss.isfinite().all().item<bool>()) << each;
  }
  EXPECT_GT(tested, 10);
}

// The same model in float64 has 1e9 times the precision.
TEST(ImportanceWeights, OfRowsFarFromTheDataArePrecise) {
  const torch::NoGradGuard no_grad;
  for (const std::string name : {"vae", "iwae", "iaf_vae", "vamp_vae", "hierarchical_vae"}) {
    const auto single = small_model(name, "tabular"), precise = small_model(name, "tabular");
    precise->to(torch::kFloat64);
    const Batch batch = far_rows("tabular", 3);
    const Batch wide{batch.x.to(torch::kFloat64), batch.label, batch.ids};
    RandomGenerator noise(Key(4)), same(Key(4));
    const torch::Tensor found = -importance_weighted_bound(*single->log_weights(batch, 4, noise));
    const torch::Tensor expected = -importance_weighted_bound(*precise->log_weights(wide, 4, same));
    EXPECT_TRUE(torch::allclose(found, expected, 1e-3)) << name << found << expected;
  }
}

// Where rounding loses the noise: z equals the mean for a σ of 3e-7 and a mean of 1000.
TEST(ImportanceWeights, OfANarrowPosteriorFarAwayHaveTheDensityOfTheNoise) {
  const DiagonalNormal posterior{torch::full({1, 2}, 1000.0), torch::full({1, 2}, -30.0)};
  RandomGenerator noise(Key(5)), same(Key(5));
  const DensitySample sample = posterior.sample_with_log_prob(noise, 7);
  const torch::Tensor epsilon = same.normal({7, 1, 2}).to(torch::kFloat64);
  const torch::Tensor expected = -0.5 * (epsilon.square() - 30.0 + std::log(2 * std::numbers::pi)).sum(-1);
  EXPECT_TRUE(torch::allclose(sample.log_prob.to(torch::kFloat64), expected, 1e-6));
  EXPECT_TRUE(torch::equal(sample.z, posterior.reparameterize(epsilon.to(torch::kFloat32))));
}

}  // namespace
}  // namespace elbo
