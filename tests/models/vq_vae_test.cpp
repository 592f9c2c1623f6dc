#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/models/registry.h"
#include "small_models.h"

namespace elbo {
namespace {

// Names and values of parameters or buffers.
std::map<std::string, torch::Tensor> buffers(const Model& model) {
  std::map<std::string, torch::Tensor> all;
  for (const auto& buffer : model.named_buffers()) all[buffer.key()] = buffer.value();
  return all;
}

LossTerms objective(Model& model, const Batch& batch, const StepContext& step_context = {"model", 0, 0}) {
  RandomGenerator noise(Key(2));
  return model.objective(step_context, batch, noise);
}

TEST(VqVae, AnImageBecomesAGridOfItsInnermostSizeAndOtherRowsALineOfCodes) {
  const std::vector<Setting> settings{{"model.codes", "3"}, {"model.code_dim", "5"}};
  EXPECT_EQ(small_model("vq_vae", "image", settings)->latent_size(), 4 * 4 * 5);
  EXPECT_EQ(small_model("vq_vae", "tabular", settings)->latent_size(), 3 * 5);
  EXPECT_EQ(small_model("vq_vae", "sequence", settings)->latent_size(), 3 * 5);
}

TEST(VqVae, EveryVectorOfACodeIsOneOfTheCodebook) {
  const auto model = small_model("vq_vae", "image", {{"model.codebook_size", "9"}, {"model.code_dim", "5"}});
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(3));
  const torch::Tensor vectors = buffers(*model).at("codebook.vectors");
  for (const torch::Tensor& z : {model->encode(rows("image", 6)).z, model->prior_sample(6, {}, noise)}) {
    const torch::Tensor same = z.view({-1, 1, 5}).eq(vectors).all(2);
    EXPECT_TRUE(same.any(1).all().item<bool>());
  }
}

TEST(VqVae, TheLossIsTheThreeTermsOfThePaper) {
  const auto model =
      small_model("vq_vae", "tabular", {{"model.codebook", "gradient"}, {"model.commitment", "0.4"}});
  const LossTerms terms = objective(*model, rows("tabular", 7));
  // Both distances have the same value; only their gradients differ.
  const torch::Tensor expected = part(terms, "reconstruction") + 1.4 * part(terms, "commitment");
  EXPECT_TRUE(torch::allclose(terms.loss, expected));
  EXPECT_FALSE(terms.statistics.defined());
}

// With a codebook of one vector, the prior has probability 1, and the bound is log p(x): the likelihood at
// that vector.
TEST(VqVae, WithOneVectorTheBoundIsExact) {
  const auto model =
      small_model("vq_vae", "tabular", {{"model.codebook_size", "1"}, {"model.likelihood", "gaussian"}});
  const torch::NoGradGuard no_grad;
  const Batch batch = rows("tabular", 5);
  RandomGenerator noise(Key(3));
  const torch::Tensor mean = model->decode(model->prior_sample(5, {}, noise), {});
  const torch::Tensor log_prob = -0.5 * (batch.x - mean).square().sum(1) - 3 * std::log(2 * std::numbers::pi);
  const LossTerms terms = model->evaluate(batch, noise);
  EXPECT_TRUE(torch::allclose(terms.loss, -log_prob, 1e-5, 1e-5));
}

// -log p(x) by a sum over all 4³ codes, a lower bound of the loss.
TEST(VqVae, EvaluationIsAnUpperBoundOfTheNegativeLogLikelihood) {
  const auto model =
      small_model("vq_vae", "tabular",
                  {{"model.codebook_size", "4"}, {"model.codes", "3"}, {"model.likelihood", "gaussian"}});
  learn(*model, rows("tabular", 16), 60);
  const torch::NoGradGuard no_grad;
  const Batch batch = rows("tabular", 16);
  RandomGenerator noise(Key(3));
  const torch::Tensor bound = model->evaluate(batch, noise).loss;
  // p(x) = E p(x|c) over c from the prior.
  const int64_t draws = 20000;
  const torch::Tensor mean = model->decode(model->prior_sample(draws, {}, noise), {});
  const torch::Tensor log_prob =
      -0.5 * (batch.x.unsqueeze(0) - mean.unsqueeze(1)).square().sum(2) - 3 * std::log(2 * std::numbers::pi);
  const torch::Tensor exact = -(log_prob.logsumexp(0) - std::log(static_cast<double>(draws)));
  EXPECT_TRUE((bound > exact - 0.05).all().item<bool>());
  EXPECT_LT((bound - exact).mean().item<double>(), 3) << "and it is not far from it";
}

TEST(VqVae, StatisticsOfHalvesAddUpToThoseOfTheWhole) {
  const auto model = small_model("vq_vae", "image", {{"model.restart_below", "0"}});
  const Batch whole = rows("image", 8);
  const auto statistics = [&](int64_t first, int64_t count, int64_t microbatch) {
    const Batch half{whole.x.narrow(0, first, count), {}, whole.ids.narrow(0, first, count)};
    return objective(*model, half, {"model", 0, microbatch}).statistics;
  };
  EXPECT_TRUE(torch::allclose(statistics(0, 4, 0) + statistics(4, 4, 1), statistics(0, 8, 0), 1e-5, 1e-5));
}

TEST(VqVae, ThePriorsPhaseMovesNothingElse) {
  const auto model = small_model("vq_vae", "image");
  const LossTerms terms = objective(*model, rows("image", 4), {"prior", 0, 0});
  EXPECT_FALSE(terms.statistics.defined());
  terms.loss.sum().backward();
  for (const auto& parameter : model->named_parameters())
    EXPECT_EQ(parameter.value().grad().defined(), parameter.key().starts_with("prior.")) << parameter.key();
}

TEST(VqVae, PriorFromMakesTwoStages) {
  const auto at_once = small_model("vq_vae", "image")->phases();
  EXPECT_TRUE(at_once[0].active(1000) && at_once[1].active(0));
  const auto staged = small_model("vq_vae", "image", {{"model.prior_from", "10"}})->phases();
  for (const int64_t step : {0, 9, 10, 1000}) {
    EXPECT_EQ(staged[0].active(step), step < 10);
    EXPECT_EQ(staged[1].active(step), step >= 10);
  }
}

TEST(VqVae, PerplexityAndCodesInUseCountOnceForEachRow) {
  const auto model = small_model("vq_vae", "tabular", {{"model.codebook_size", "1"}});
  const LossTerms terms = objective(*model, rows("tabular", 7));
  EXPECT_NEAR(part(terms, "perplexity").item<double>() / 7, 1, 1e-6);
  EXPECT_NEAR(part(terms, "codes_in_use").item<double>() / 7, 1, 1e-6);
}

}  // namespace
}  // namespace elbo
