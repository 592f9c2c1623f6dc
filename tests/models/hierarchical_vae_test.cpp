#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <numbers>

#include "elbo/base/error.h"
#include "elbo/models/registry.h"
#include "elbo/nn/hierarchy.h"
#include "elbo/objectives/bounds.h"
#include "oracles.h"
#include "small_models.h"

namespace elbo {
namespace {

std::shared_ptr<Model> hierarchical(const std::string& kind, const std::string& data,
                                    std::vector<Setting> settings = {}) {
  settings.insert(settings.begin(), {{"model.kind", kind}, {"model.width", "12"}});
  return small_model("hierarchical_vae", data, settings);
}

// Two levels of one dimension: z2 ~ N(0, 1), z1 ~ N(a·z2 + c, s), x ~ N(u·z1, σ²I), so x is normal with
// known covariance. Its posterior is that of a ladder: the bottom-up factor of z1 is the normal given by u, σ
// and x. Linear layers are made of relu(t) - relu(-t) = t.
class LinearLadder : public testing::Test {
 protected:
  static constexpr int64_t features = 4;
  static constexpr double sigma = 0.5, a = 0.8, c = 0.3, s = 0.4;

  void SetUp() override {
    ModelContext context{
        .data = {.x = {features}, .kind = "tabular"}, .network = {}, .name = "hierarchical_vae"};
    context.network.kind = "mlp";
    context.network.hidden = {};
    RandomGenerator init(Key(1));
    model = with_options("hierarchical_vae", {{"model.latents", "1,1"},
                                              {"model.width", "2"},
                                              {"model.likelihood", "gaussian"},
                                              {"model.likelihood_scale", "0.5"}})
                ->build(context, init);
    loading = torch::tensor({1.0F, -0.5F, 0.7F, 0.2F});
    set_parameters();
    RandomGenerator noise(Key(2));
    batch = {noise.normal({3, features}), {}, torch::arange(3)};
  }

  void set_parameters() {
    const double length = loading.square().sum().item<double>(), v = sigma * sigma / length;
    const double precision = 1 + a * a / (s + v), gain = a / (s + v) / precision;
    const torch::Tensor pair = torch::tensor({{1.0}, {-1.0}}), back = pair.t();
    const auto head = [&](double slope) { return torch::cat({slope * back, torch::zeros({1, 2})}); };
    const std::map<std::string, torch::Tensor> values{
        {"encoder.mlp.dense0.weight", torch::stack({loading, -loading}) / length},
        {"encoder.mlp.dense0.bias", torch::zeros({2})},
        {"hierarchy.up1.weight", pair.matmul(back)},
        {"hierarchy.up1.bias", torch::zeros({2})},
        {"hierarchy.level0.head.weight", head(gain)},
        {"hierarchy.level0.head.bias", torch::tensor({-gain * c, -std::log(precision)})},
        {"hierarchy.level1.head.weight", head(1)},
        {"hierarchy.level1.head.bias", torch::tensor({0.0, std::log(v)})},
        {"hierarchy.level1.prior.dense0.weight", pair},
        {"hierarchy.level1.prior.dense0.bias", torch::zeros({2})},
        {"hierarchy.level1.prior.dense1.weight", head(a)},
        {"hierarchy.level1.prior.dense1.bias", torch::tensor({c, std::log(s)})},
        {"decoder.mlp.dense0.weight", loading.unsqueeze(1)},
        {"decoder.mlp.dense0.bias", torch::zeros({features})}};
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->named_parameters()) parameter.value().copy_(values.at(parameter.key()));
  }

  torch::Tensor log_prob() const {
    const torch::Tensor u = loading.to(torch::kFloat64);
    const torch::Tensor noise = sigma * sigma * torch::eye(features, torch::kFloat64);
    return normal_log_density(batch.x - c * loading, (a * a + s) * torch::outer(u, u) + noise);
  }

  std::shared_ptr<Model> model;
  torch::Tensor loading;
  Batch batch;
};

TEST_F(LinearLadder, WithTheExactPosteriorEveryWeightIsTheLikelihood) {
  RandomGenerator noise(Key(3));
  const torch::Tensor weights = *model->log_weights(batch, 10, noise);
  for (int64_t draw = 0; draw < 10; ++draw)
    EXPECT_TRUE(torch::allclose(weights[draw].to(torch::kFloat64), log_prob(), 0, 1e-4));
}

TEST_F(LinearLadder, WithTheExactPosteriorTheBoundIsTheLikelihoodInExpectation) {
  const torch::NoGradGuard no_grad;
  RandomGenerator noise(Key(4));
  torch::Tensor elbo = torch::zeros({3}, torch::kFloat64);
  constexpr int rounds = 4000;
  for (int i = 0; i < rounds; ++i) elbo -= model->evaluate(batch, noise).loss / rounds;
  EXPECT_TRUE(torch::allclose(elbo, log_prob(), 0, 0.05)) << elbo << log_prob();
}

TEST_F(LinearLadder, WithAnotherPosteriorTheBoundRisesToTheLikelihoodFromBelow) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model->named_parameters())
    if (parameter.key() == "hierarchy.level0.head.bias") parameter.value().add_(0.7);
  RandomGenerator noise(Key(4));
  const double exact = log_prob().mean().item<double>();
  const auto bound = [&](int64_t k, int rounds) {
    double sum = 0;
    for (int i = 0; i < rounds; ++i)
      sum += importance_weighted_bound(*model->log_weights(batch, k, noise)).mean().item<double>();
    return sum / rounds;
  };
  EXPECT_LT(bound(1, 1000), exact - 0.1);
  EXPECT_NEAR(bound(20000, 3), exact, 0.02);
}

TEST(HierarchicalVae, TheBoundOfOneSampleHasTheElboAsItsMean) {
  for (const std::string& kind : hierarchy_names()) {
    const auto model = hierarchical(kind, "tabular", {{"model.latents", "3,2,2"}});
    const torch::NoGradGuard no_grad;
    RandomGenerator noise(Key(5));
    const Batch batch = rows("tabular", 2);
    const torch::Tensor weights = *model->log_weights(batch, 20000, noise);
    torch::Tensor elbo = torch::zeros({2}, torch::kFloat64);
    for (int i = 0; i < 500; ++i) elbo -= model->evaluate(batch, noise).loss / 500;
    EXPECT_TRUE(torch::allclose(weights.mean(0, false, torch::kFloat64), elbo, 0, 0.1)) << kind;
  }
}

TEST(HierarchicalVae, WeightsAndThePriorGiveOneLikelihood) {
  for (const std::string& kind : hierarchy_names()) {
    SCOPED_TRACE(kind);
    const auto model =
        hierarchical(kind, "tabular", {{"model.latents", "2,1"}, {"model.likelihood", "gaussian"}});
    expect_one_likelihood(*model, rows("tabular", 2), 40000, 0.03);
  }
}

TEST(HierarchicalVae, ItsGradientIsThatOfFiniteDifferences) {
  for (const std::string& kind : hierarchy_names()) {
    SCOPED_TRACE(kind);
    expect_gradient_of_differences(*hierarchical(kind, "tabular", {{"model.latents", "3,2"}}),
                                   rows("tabular", 4));
  }
}

TEST(HierarchicalVae, ResamplingALevelKeepsTheLevelsAbove) {
  for (const std::string& kind : hierarchy_names()) {
    const auto model = hierarchical(kind, "image", {{"model.latents", "4,3,2"}});
    const torch::NoGradGuard no_grad;
    EXPECT_EQ(model->levels(), (std::vector<int64_t>{2, 3, 4}));
    RandomGenerator noise(Key(8));
    const torch::Tensor z = model->prior_sample(1, {}, noise).repeat({5, 1});
    const torch::Tensor drawn = model->resample(z, 1, noise);
    EXPECT_TRUE(torch::equal(drawn.narrow(1, 0, 2), z.narrow(1, 0, 2)));
    EXPECT_GT((drawn - z).narrow(1, 2, 3).abs().min().item<double>(), 0);
    EXPECT_GT(model->decode(drawn, {}).std(0).max().item<double>(), 0) << "the rows do not differ";
  }
}

// Resampling level 1 with its first noise gives the same z: the level below keeps its noise.
TEST(HierarchicalVae, LevelsBelowKeepTheirNoise) {
  for (const std::string& kind : hierarchy_names()) {
    const auto model = hierarchical(kind, "image", {{"model.latents", "4,3"}});
    const torch::NoGradGuard no_grad;
    RandomGenerator first(Key(9)), again(Key(9)), other(Key(10));
    const torch::Tensor z = model->prior_sample(6, {}, first);
    const torch::Tensor moved = model->resample(z, 0, other);
    EXPECT_FALSE(torch::allclose(moved, z, 0, 0.1));
    EXPECT_TRUE(torch::allclose(model->resample(moved, 0, again), z, 0, 1e-4)) << kind;
  }
}

TEST(HierarchicalVae, BothKindsLearnAllData) {
  for (const std::string& kind : hierarchy_names())
    for (const std::string data : {"image", "tabular", "sequence"}) {
      const auto model = hierarchical(kind, data);
      const Batch batch = rows(data, 16);
      const auto loss = [&] {
        const torch::NoGradGuard no_grad;
        RandomGenerator noise(Key(4));
        return model->evaluate(batch, noise).loss.mean().item<double>();
      };
      const double before = loss();
      learn(*model, batch, 60);
      EXPECT_LT(loss(), before - 0.01 * std::fabs(before)) << kind << " " << data;
    }
}

TEST(HierarchicalVae, RefusesASingleLevel) {
  try {
    hierarchical("ladder", "tabular", {{"model.latents", "3"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("model.latents"));
  }
}

}  // namespace
}  // namespace elbo
