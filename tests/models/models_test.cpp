#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/models/registry.h"
#include "elbo/objectives/bounds.h"
#include "oracles.h"
#include "small_models.h"

namespace elbo {
namespace {

class EveryModel : public testing::TestWithParam<Case> {
 protected:
  std::shared_ptr<Model> model() const { return small_model(GetParam().model, GetParam().data); }
  Batch batch(int64_t n) const { return rows(GetParam().data, n); }
  torch::Tensor label(int64_t n) const { return batch(n).label; }
};

TEST_P(EveryModel, HasTheShapesOfTheInterface) {
  const auto tested = model();
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(2));
  const Batch five = batch(5);
  const Latent code = tested->encode(five);
  const std::vector<int64_t> codes{5, tested->latent_size()};
  EXPECT_EQ(code.z.sizes(), codes);
  if (code.logvar) {
    EXPECT_EQ(code.logvar->sizes(), codes);
  }
  if (code.kl) {
    EXPECT_EQ(code.kl->sizes(), codes);
  }
  EXPECT_EQ(tested->decode(code.z, five.label).sizes(), five.x.sizes());
  const torch::Tensor z = tested->prior_sample(7, {}, noise);
  EXPECT_EQ(z.sizes(), (std::vector<int64_t>{7, tested->latent_size()}));
  EXPECT_TRUE(tested->decode(z, label(7)).isfinite().all().item<bool>());
  const LossTerms terms = tested->evaluate(five, noise);
  EXPECT_EQ(terms.loss.sizes(), std::vector<int64_t>{5});
  if (const auto weights = tested->log_weights(five, 3, noise)) {
    EXPECT_EQ(weights->sizes(), (std::vector<int64_t>{3, 5}));
  }
}

TEST_P(EveryModel, ItsObjectiveIsPure) {
  const auto tested = model();
  torch::manual_seed(1);
  const torch::Tensor expected = torch::rand({3});
  torch::manual_seed(1);
  std::vector<torch::Tensor> buffers;
  for (const torch::Tensor& buffer : tested->buffers()) buffers.push_back(buffer.clone());
  for (const Phase& phase : tested->phases()) {
    const auto loss = [&] {
      RandomGenerator noise(Key(2));
      return tested->objective({phase.name, 10, 0}, batch(6), noise).loss;
    };
    EXPECT_TRUE(torch::equal(loss(), loss()));
  }
  for (size_t i = 0; i < buffers.size(); ++i) EXPECT_TRUE(torch::equal(tested->buffers()[i], buffers[i]));
  EXPECT_TRUE(torch::equal(torch::rand({3}), expected)) << "it draws from the global generator";
}

TEST_P(EveryModel, IsInitialisedFromItsGeneratorAlone) {
  const auto one = model(), two = model();
  for (size_t i = 0; i < one->parameters().size(); ++i)
    EXPECT_TRUE(torch::equal(one->parameters()[i], two->parameters()[i]));
}

TEST_P(EveryModel, EachPhaseReachesTheParametersOfItsModules) {
  const auto tested = model();
  for (const Phase& phase : tested->phases()) {
    RandomGenerator noise(Key(2));
    tested->zero_grad();
    tested->objective({phase.name, phase.first_step, 0}, batch(8), noise).loss.sum().backward();
    for (const auto& parameter : tested->named_parameters()) {
      const bool own = belongs_to(phase, parameter.key());
      const torch::Tensor gradient = parameter.value().grad();
      if (own) {
        EXPECT_TRUE(gradient.defined()) << phase.name << " does not reach " << parameter.key();
      }
    }
  }
  for (const auto& parameter : tested->named_parameters())
    EXPECT_TRUE(std::ranges::any_of(tested->phases(),
                                    [&](const Phase& phase) { return belongs_to(phase, parameter.key()); }))
        << parameter.key() << " is in no phase";
}

TEST_P(EveryModel, Learns) {
  const auto tested = model();
  Batch sixteen = batch(16);
  // Rows with structure: adversarial training need not reduce the distance to noise.
  if (small_data(GetParam().data).tokens == 0) sixteen.x = 0.2 * sixteen.x + 0.7;
  const auto loss = [&] {
    const torch::NoGradGuard no_grad;
    RandomGenerator noise(Key(4));
    return tested->evaluate(sixteen, noise).loss.mean().item<double>();
  };
  const double before = loss(), lower = before - 0.01 * std::fabs(before);
  // At the others' learning rate the generator of volumes first overshoots, for 200 steps.
  const bool overshoots = GetParam().model == "gan" && GetParam().data == "volume";
  learn(*tested, sixteen, 100, overshoots ? 0.001 : 0.003, [&] { return loss() < lower; });
  EXPECT_LT(loss(), lower);
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryModel, testing::ValuesIn(accepted_cases()),
                         [](const auto& tested) { return tested.param.model + "_" + tested.param.data; });

TEST(Registry, EveryModelTakesSomeDataAndRefusesTheRestWithTheReason) {
  for (const auto& spec : all_models()) {
    int taken = 0;
    for (const std::string& data : data_names()) {
      const std::string refusal = refusal_of(spec->name(), data);
      if (refusal.empty()) {
        ++taken;
      } else {
        EXPECT_THAT(refusal, testing::HasSubstr("model.name=" + spec->name()));
      }
    }
    EXPECT_GT(taken, 0) << spec->name();
  }
}

TEST(Registry, AnUnknownModelIsReportedWithTheNearestName) {
  try {
    find_model("vea");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("vae"));
  }
}

TEST(Vae, EvaluationIgnoresWeightsWarmUpAndFreeBits) {
  const auto plain = small_model("vae", "image");
  const auto weighted = small_model(
      "vae", "image", {{"model.beta", "9"}, {"model.warmup_steps", "100"}, {"model.free_bits", "3"}});
  RandomGenerator one(Key(4)), two(Key(4)), three(Key(4));
  const torch::Tensor expected = plain->evaluate(rows("image", 5), one).loss;
  EXPECT_TRUE(torch::equal(weighted->evaluate(rows("image", 5), two).loss, expected));
  EXPECT_NE(weighted->objective({"model", 50, 0}, rows("image", 5), three).loss.sum().item<double>(),
            expected.sum().item<double>());
}

TEST(Vae, TheBoundOfOneSampleHasTheElboAsItsMean) {
  const auto model = small_model("vae", "image");
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(5));
  const Batch batch = rows("image", 2);
  const torch::Tensor weights = *model->log_weights(batch, 20000, noise);
  torch::Tensor elbo = torch::zeros({2}, torch::kFloat64);
  for (int i = 0; i < 500; ++i) elbo -= model->evaluate(batch, noise).loss / 500;
  EXPECT_TRUE(torch::allclose(weights.mean(0, false, torch::kFloat64), elbo, 0, 0.1));
}

// Probabilistic PCA (Tipping & Bishop 1999): x = Wz + b + σε, so log p(x) is the density of N(b, WWᵀ + σ²I),
// and the posterior is a normal whose mean is linear in x. A VAE without hidden layers is this model. With
// the exact posterior, the weight of every sample is p(x).
class ProbabilisticPca : public testing::Test {
 protected:
  static constexpr int64_t features = 4, latent = 2;
  static constexpr double sigma = 0.5;

  void SetUp() override {
    ModelContext context;
    context.data = {.x = {features}, .kind = "tabular"};
    context.network.kind = "mlp";
    context.network.hidden = {};
    RandomGenerator init(Key(1));
    model_ = with_options(
                 "vae",
                 {{"model.latent", "2"}, {"model.likelihood", "gaussian"}, {"model.likelihood_scale", "0.5"}})
                 ->build(context, init);
    // Orthogonal columns make the posterior's covariance diagonal.
    w_ = torch::tensor({{1.0F, 0.5F}, {1.0F, -0.5F}, {0.0F, 0.7F}, {0.5F, 0.0F}});
    w_.select(1, 1).sub_(w_.select(1, 0) *
                         (w_.select(1, 0).dot(w_.select(1, 1)) / w_.select(1, 0).square().sum()));
    b_ = torch::tensor({0.1F, -0.2F, 0.3F, 0.0F});
    posterior_variance_ = 1 / (w_.square().sum(0) / (sigma * sigma) + 1);
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model_->named_parameters()) {
      const bool weight = parameter.value().dim() == 2;
      if (parameter.key().starts_with("decoder")) parameter.value().copy_(weight ? w_ : b_);
      if (!parameter.key().starts_with("encoder")) continue;
      const torch::Tensor map = (w_ * posterior_variance_ / (sigma * sigma)).t();  // (latent, features)
      if (weight) {
        parameter.value().copy_(torch::cat({map, torch::zeros_like(map)}));
      } else {
        parameter.value().copy_(torch::cat({-map.matmul(b_), posterior_variance_.log()}));
      }
    }
    RandomGenerator noise(Key(2));
    batch_ = {noise.normal({3, features}), {}, torch::arange(3)};
  }

  torch::Tensor log_prob() const {
    const torch::Tensor w = w_.to(torch::kFloat64);
    const torch::Tensor noise = sigma * sigma * torch::eye(features, torch::kFloat64);
    return normal_log_density(batch_.x - b_, w.matmul(w.t()) + noise);
  }

  std::shared_ptr<Model> model_;
  torch::Tensor w_, b_, posterior_variance_;
  Batch batch_;
};

TEST_F(ProbabilisticPca, WithTheExactPosteriorEveryWeightIsTheLikelihood) {
  RandomGenerator noise(Key(3));
  const torch::Tensor weights = *model_->log_weights(batch_, 10, noise);
  for (int64_t draw = 0; draw < 10; ++draw)
    EXPECT_TRUE(torch::allclose(weights[draw].to(torch::kFloat64), log_prob(), 0, 1e-4));
}

TEST_F(ProbabilisticPca, WithAnotherPosteriorTheBoundRisesToTheLikelihoodFromBelow) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model_->named_parameters())
    if (parameter.key().starts_with("encoder") && parameter.value().dim() == 1) parameter.value().add_(0.5);
  RandomGenerator noise(Key(4));
  const double exact = log_prob().mean().item<double>();
  double before = -1e9;
  for (const int64_t k : {1, 10, 2000}) {
    double bound = 0;
    const int rounds = k == 2000 ? 20 : 2000;
    for (int i = 0; i < rounds; ++i)
      bound +=
          importance_weighted_bound(*model_->log_weights(batch_, k, noise)).mean().item<double>() / rounds;
    EXPECT_GT(bound, before);
    EXPECT_LT(bound, exact + 0.02);
    before = bound;
  }
  EXPECT_NEAR(before, exact, 0.02);
}

}  // namespace
}  // namespace elbo
