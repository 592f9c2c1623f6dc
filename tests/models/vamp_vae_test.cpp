#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/models/registry.h"
#include "oracles.h"
#include "small_models.h"

namespace elbo {
namespace {

void set_pseudo_inputs(Model& model, const torch::Tensor& values) {
  const torch::NoGradGuard no_grad;
  model.named_parameters()["pseudo_inputs.values"].copy_(values);
}

torch::Tensor kl_term(const LossTerms& terms) {
  for (const auto& [name, value] : terms.parts)
    if (name == "kl") return value;
  return {};
}

// For a row whose posterior equals the prior, at every sample.
TEST(VampVae, TheDivergenceIsZeroWhereTheOnlyPseudoInputIsTheRow) {
  const torch::NoGradGuard no_grad;
  for (const std::string data : {"tabular", "image"}) {
    const auto model = small_model("vamp_vae", data, {{"model.components", "1"}});
    const Batch batch = rows(data, 1);
    set_pseudo_inputs(*model, data == "image" ? torch::logit(batch.x) : batch.x);
    RandomGenerator noise(Key(4));
    EXPECT_NEAR(kl_term(model->evaluate(batch, noise)).item<double>(), 0, 1e-4) << data;
  }
}

TEST(VampVae, WithOnePseudoInputTheDivergenceIsThatOfTwoNormalsInExpectation) {
  const torch::NoGradGuard no_grad;
  const auto model = small_model("vamp_vae", "tabular", {{"model.components", "1"}, {"model.latent", "3"}});
  for (torch::Tensor& parameter : model->parameters()) parameter.mul_(2);
  const Batch batch = rows("tabular", 3);
  set_pseudo_inputs(*model, batch.x.narrow(0, 0, 1));
  const Latent code = model->encode(batch);
  const torch::Tensor mean = code.z.to(torch::kFloat64), variance = code.logvar->to(torch::kFloat64).exp();
  const torch::Tensor ratio = variance / variance[0], distance = (mean - mean[0]).square() / variance[0];
  const torch::Tensor expected = 0.5 * (ratio + distance - 1 - ratio.log()).sum(1);
  EXPECT_GT(expected[1].item<double>(), 0.1) << "the case is too plain";
  RandomGenerator noise(Key(5));
  torch::Tensor found = torch::zeros({3}, torch::kFloat64);
  constexpr int rounds = 4000;
  for (int i = 0; i < rounds; ++i) found += kl_term(model->evaluate(batch, noise)) / rounds;
  EXPECT_TRUE(torch::allclose(found, expected, 0.05, 0.03)) << found << expected;
}

// The mean and variance of a mixture from those of its components, which encode() gives for the same rows.
TEST(VampVae, SamplesOfThePriorHaveTheMomentsOfTheMixture) {
  const torch::NoGradGuard no_grad;
  const auto model = small_model("vamp_vae", "tabular", {{"model.components", "4"}, {"model.latent", "2"}});
  Batch batch = rows("tabular", 4);
  batch.x *= 5;
  set_pseudo_inputs(*model, batch.x);
  const Latent code = model->encode(batch);
  const torch::Tensor mean = code.z.mean(0);
  const torch::Tensor variance = (code.logvar->exp() + code.z.square()).mean(0) - mean.square();
  RandomGenerator noise(Key(6));
  const torch::Tensor z = model->prior_sample(200000, {}, noise);
  EXPECT_TRUE(torch::allclose(z.mean(0), mean, 0, 0.03)) << z.mean(0) << mean;
  EXPECT_TRUE(torch::allclose(z.var(0), variance, 0.03)) << z.var(0) << variance;
}

// E[p(x,z)/q(z|x)] over q is p(x), and so is the mean of p(x|z) over samples of the prior.
TEST(VampVae, WeightsAndThePriorGiveOneLikelihood) {
  const torch::NoGradGuard no_grad;
  const auto model =
      small_model("vamp_vae", "tabular",
                  {{"model.components", "7"}, {"model.latent", "2"}, {"model.likelihood", "gaussian"}});
  for (torch::Tensor& parameter : model->parameters()) parameter.mul_(2);
  expect_one_likelihood(*model, rows("tabular", 2), 40000, 0.05);
}

TEST(VampVae, TheGradientReachesThePseudoInputsThroughThePriorAsFiniteDifferencesSay) {
  expect_gradient_of_differences(*small_model("vamp_vae", "tabular", {{"model.components", "3"}}),
                                 rows("tabular", 4));
}

}  // namespace
}  // namespace elbo
