#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "elbo/models/registry.h"
#include "elbo/nn/flows.h"
#include "oracles.h"
#include "small_models.h"

namespace elbo {
namespace {

std::shared_ptr<Model> flowing(const std::string& flow, std::vector<Setting> settings = {}) {
  settings.insert(settings.begin(), {{"model.flow", flow},
                                     {"model.latent", "2"},
                                     {"model.flow_hidden", "8"},
                                     {"model.likelihood", "gaussian"}});
  return small_model("iaf_vae", "tabular", settings);
}

class IafVae : public testing::TestWithParam<std::string> {};

TEST_P(IafVae, TheBoundOfOneSampleHasTheElboAsItsMean) {
  const auto model = flowing(GetParam());
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(5));
  const Batch batch = rows("tabular", 2);
  const torch::Tensor weights = *model->log_weights(batch, 20000, noise);
  torch::Tensor elbo = torch::zeros({2}, torch::kFloat64);
  for (int i = 0; i < 500; ++i) elbo -= model->evaluate(batch, noise).loss / 500;
  EXPECT_TRUE(torch::allclose(weights.mean(0, false, torch::kFloat64), elbo, 0, 0.15));
}

// E[p(x,z)/q(z|x)] over q is p(x), and so is the mean of p(x|z) over samples of the prior: the density of q
// is that of its samples.
TEST_P(IafVae, WeightsAndThePriorGiveOneLikelihood) {
  const auto model = flowing(GetParam());
  const torch::NoGradGuard no_grad;
  // Parameters far from their initial values, so that the flow is not nearly linear.
  for (torch::Tensor& parameter : model->parameters()) parameter.mul_(1.5);
  expect_one_likelihood(*model, rows("tabular", 2), 100000, 0.03);
}

TEST_P(IafVae, ItsGradientIsThatOfFiniteDifferences) {
  expect_gradient_of_differences(*flowing(GetParam()), rows("tabular", 4));
}

TEST_P(IafVae, EvaluationIgnoresWeightAndWarmUp) {
  const auto plain = flowing(GetParam());
  const auto weighted = flowing(GetParam(), {{"model.beta", "9"}, {"model.warmup_steps", "100"}});
  RandomGenerator one(Key(4)), two(Key(4)), three(Key(4));
  const torch::Tensor expected = plain->evaluate(rows("tabular", 5), one).loss;
  EXPECT_TRUE(torch::equal(weighted->evaluate(rows("tabular", 5), two).loss, expected));
  EXPECT_FALSE(torch::equal(weighted->objective({"model", 50, 0}, rows("tabular", 5), three).loss, expected));
}

INSTANTIATE_TEST_SUITE_P(All, IafVae, testing::ValuesIn(flow_names()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace elbo
