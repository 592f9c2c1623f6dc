#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>

#include "elbo/models/registry.h"
#include "elbo/objectives/bounds.h"
#include "small_models.h"

namespace elbo {
namespace {

const std::string m2_vae = "m2_vae";
constexpr int64_t labelled_classes = 3;  // of labelled_image

torch::Tensor class_probabilities(Model& model, const Batch& batch) {
  return model.encode(batch).z.narrow(1, 0, labelled_classes);
}

LossTerms objective_of(Model& model, const Batch& batch) {
  RandomGenerator noise(Key(5));
  return model.objective({"model", 0, 0}, batch, noise);
}

// log p(x) = log Σ_y p(y) ∫ p(x|y, z) p(z) dz, where z is one number.
TEST(M2Vae, ItsImportanceWeightedBoundIsTheIntegralOverZSummedOverClasses) {
  const torch::NoGradGuard no_grad;
  const auto model =
      small_model(m2_vae, "labelled_image", {{"model.latent", "1"}, {"model.likelihood", "gaussian"}});
  const Batch batch = rows("labelled_image", 2);
  RandomGenerator noise(Key(7));
  const torch::Tensor bound = importance_weighted_bound(*model->log_weights(batch, 3000, noise));
  constexpr int64_t points = 801;
  const torch::Tensor z = torch::linspace(-8, 8, points).unsqueeze(1);
  for (int64_t row = 0; row < 2; ++row) {
    std::vector<torch::Tensor> log_joint;
    for (int64_t y = 0; y < labelled_classes; ++y) {
      const torch::Tensor one_hot =
          torch::one_hot(torch::full({points}, y), labelled_classes).to(torch::kFloat32);
      const torch::Tensor mean =
          model->decode(torch::cat({one_hot, z}, 1), {}).flatten(1).to(torch::kFloat64);
      log_joint.push_back(-0.5 * (mean - batch.x[row].flatten()).square().sum(1) -
                          0.5 * z.squeeze(1).square().to(torch::kFloat64) -
                          0.5 * (256 + 1) * std::log(2 * std::numbers::pi) - std::log(3.0));
    }
    const double exact = (torch::cat(log_joint).logsumexp(0) + std::log(16.0 / (points - 1))).item<double>();
    EXPECT_NEAR(bound[row].item<double>(), exact, 0.05);
  }
}

TEST(M2Vae, ItsEvaluationIsTheMeanOfItsLogWeights) {
  const torch::NoGradGuard no_grad;
  const auto model = small_model(m2_vae, "labelled_image", {{"model.latent", "2"}});
  const Batch batch = rows("labelled_image", 3);
  RandomGenerator noise(Key(8));
  const torch::Tensor expected = -model->log_weights(batch, 3000, noise)->mean(0);
  torch::Tensor found = torch::zeros({3});
  for (int i = 0; i < 1000; ++i) found += model->evaluate(batch, noise).loss / 1000;
  EXPECT_TRUE(torch::allclose(found, expected, 0, 0.1)) << found << expected;
}

TEST(M2Vae, RowsWithoutALabelAreTrainedByTheBoundOnX) {
  const auto model = small_model(m2_vae, "labelled_image");
  Batch batch = rows("labelled_image", 4);
  batch.label = torch::full({4}, -1);
  RandomGenerator noise(Key(5));
  EXPECT_TRUE(torch::equal(objective_of(*model, batch).loss, model->evaluate(batch, noise).loss));
  Batch without = batch;
  without.label = torch::Tensor();
  EXPECT_TRUE(torch::equal(objective_of(*model, batch).loss, objective_of(*model, without).loss));
}

// At a row with a label, eq. 6 does not ask the classifier; eq. 9 adds its surprise.
TEST(M2Vae, ALabelTakesThePlaceOfTheClassifierAndTrainsItByTheWeight) {
  const auto plain = small_model(m2_vae, "labelled_image", {{"model.classification_weight", "0"}});
  const auto weighted = small_model(m2_vae, "labelled_image", {{"model.classification_weight", "7"}});
  const Batch batch = rows("labelled_image", 6);
  const torch::Tensor without = objective_of(*plain, batch).loss;
  const torch::Tensor surprise =
      -class_probabilities(*plain, batch).gather(1, batch.label.unsqueeze(1)).squeeze(1).log();
  EXPECT_TRUE(torch::allclose(objective_of(*weighted, batch).loss, without + 7 * surprise, 1e-5, 1e-4));
  without.sum().backward();
  for (const auto& parameter : plain->named_parameters())
    if (parameter.key().starts_with("classifier")) {
      EXPECT_EQ(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
    }
  const LossTerms terms = objective_of(*plain, batch);
  EXPECT_TRUE(torch::allclose(part(terms, "kl") + part(terms, "reconstruction"), terms.loss));
  EXPECT_GT(part(terms, "kl").min().item<double>(), std::log(3.0));  // that of y is log 3
}

TEST(M2Vae, AFewLabelsNameTheClassesOfAllRows) {
  const auto model = small_model(m2_vae, "labelled_image", {{"model.latent", "2"}});
  const Batch batch = rows("labelled_image", 30);
  Batch few = batch;
  few.x = batch.label.view({-1, 1, 1, 1}).expand({-1, 1, 16, 16}) * 0.4 + 0.1;
  few.x = (few.x + 0.05 * batch.x).clamp(0, 1);
  few.label = torch::where(batch.ids.lt(3), batch.label, -1);
  learn(*model, few, 200);
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::equal(class_probabilities(*model, few).argmax(1), batch.label));
  few.label = batch.label;
  RandomGenerator noise(Key(9));
  EXPECT_EQ(part(model->evaluate(few, noise), "right").sum().item<double>(), 30);
}

TEST(M2Vae, SamplesOfThePriorHaveEachClassEquallyOften) {
  const auto model = small_model(m2_vae, "labelled_image");
  RandomGenerator noise(Key(10));
  const torch::Tensor y = model->prior_sample(9000, {}, noise).narrow(1, 0, labelled_classes);
  EXPECT_TRUE(torch::equal(y.sum(1), torch::ones({9000})));
  EXPECT_TRUE(torch::allclose(y.mean(0), torch::full({labelled_classes}, 1 / 3.0), 0, 0.02));
}

}  // namespace
}  // namespace elbo
