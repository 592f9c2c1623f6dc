#include <gmock/gmock.h>
#include <torch/torch.h>

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "models/registry.h"
#include "objectives/bounds.h"

namespace elbo {
namespace {

std::unique_ptr<ModelSpec> with_options(const std::string& name, const std::vector<Setting>& settings) {
  std::unique_ptr<ModelSpec> spec = find_model(name);
  OptionTable table;
  spec->bind(table);
  for (const Setting& setting : settings) table.set(setting, "--");
  return spec;
}

std::shared_ptr<Model> small(const std::string& name, const std::vector<Setting>& settings = {}) {
  ModelContext context;
  context.data = {.x = {1, 8, 8}, .kind = "image"};
  context.network.kind = "mlp";
  context.network.hidden = {16};
  Noise init(Key(1));
  return with_options(name, settings)->build(context, init);
}

Batch images(int64_t n, uint64_t seed = 1) {
  Noise noise(Key{seed});
  return {noise.uniform({n, 1, 8, 8}), {}, torch::arange(n)};
}

class EveryModel : public testing::TestWithParam<std::string> {};

TEST_P(EveryModel, HasTheShapesThatTheInterfaceSays) {
  const auto model = small(GetParam());
  Noise noise(Key(2));
  const Batch batch = images(5);
  const Code code = model->encode(batch);
  EXPECT_EQ(code.z.sizes(), (std::vector<int64_t>{5, model->latent_size()}));
  EXPECT_EQ(model->decode(code.z, {}).sizes(), batch.x.sizes());
  EXPECT_EQ(model->prior_sample(7, noise).sizes(), (std::vector<int64_t>{7, model->latent_size()}));
  EXPECT_EQ(model->evaluate(batch, noise).loss.sizes(), std::vector<int64_t>{5});
  if (const auto weights = model->log_weights(batch, 3, noise)) {
    EXPECT_EQ(weights->sizes(), (std::vector<int64_t>{3, 5}));
  }
}

TEST_P(EveryModel, ItsObjectiveIsPure) {
  const auto model = small(GetParam());
  torch::manual_seed(1);
  const torch::Tensor expected = torch::rand({3});
  torch::manual_seed(1);
  const auto loss = [&] {
    Noise noise(Key(2));
    return model->objective({"model", 10}, images(5), noise).loss;
  };
  EXPECT_TRUE(torch::equal(loss(), loss()));
  EXPECT_TRUE(torch::equal(torch::rand({3}), expected)) << "it draws from the global generator";
}

TEST_P(EveryModel, IsBuiltFromItsNoiseAlone) {
  const auto one = small(GetParam()), two = small(GetParam());
  for (size_t i = 0; i < one->parameters().size(); ++i)
    EXPECT_TRUE(torch::equal(one->parameters()[i], two->parameters()[i]));
}

TEST_P(EveryModel, Learns) {
  const auto model = small(GetParam());
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(0.01));
  const Batch batch = images(16);
  double first = 0, last = 0;
  for (int64_t step = 0; step < 150; ++step) {
    Noise noise(Key(3).with(static_cast<uint64_t>(step)));
    optimizer.zero_grad();
    const torch::Tensor loss = model->objective({"model", step}, batch, noise).loss.mean();
    loss.backward();
    optimizer.step();
    (step == 0 ? first : last) = loss.item<double>();
  }
  EXPECT_LT(last, first - 0.5);
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryModel, testing::Values("vae", "autoencoder"),
                         [](const auto& tested) { return tested.param; });

TEST(Registry, AllModelsAreTested) {
  std::vector<std::string> names;
  for (const auto& spec : all_models()) names.push_back(spec->name());
  EXPECT_THAT(names, testing::UnorderedElementsAre("vae", "autoencoder"));
}

TEST(Registry, AnUnknownModelIsToldWithTheNearest) {
  try {
    find_model("vea");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("vae"));
  }
}

TEST(Vae, EvaluationIgnoresWeightsWarmUpAndFreeBits) {
  const auto plain = small("vae");
  const auto weighted =
      small("vae", {{"model.beta", "9"}, {"model.warmup_steps", "100"}, {"model.free_bits", "3"}});
  Noise one(Key(4)), two(Key(4)), three(Key(4));
  const torch::Tensor expected = plain->evaluate(images(5), one).loss;
  EXPECT_TRUE(torch::equal(weighted->evaluate(images(5), two).loss, expected));
  EXPECT_NE(weighted->objective({"model", 50}, images(5), three).loss.sum().item<double>(),
            expected.sum().item<double>());
}

TEST(Vae, TheBoundOfOneSampleHasTheElboAsItsMean) {
  const auto model = small("vae");
  const torch::NoGradGuard no_grad;
  Noise noise(Key(5));
  const Batch batch = images(2);
  const torch::Tensor weights = *model->log_weights(batch, 20000, noise);
  torch::Tensor elbo = torch::zeros({2}, torch::kFloat64);
  for (int i = 0; i < 500; ++i) elbo -= model->evaluate(batch, noise).loss / 500;
  EXPECT_TRUE(torch::allclose(weights.mean(0, false, torch::kFloat64), elbo, 0, 0.1));
}

// Probabilistic PCA (Tipping & Bishop 1999): x = Wz + b + σε, so log p(x) is the density of N(b, WWᵀ + σ²I),
// and the posterior is a normal whose mean is linear in x. A VAE without hidden layers is this model; with
// the posterior's mean set by hand and its covariance diagonal, every draw's weight is p(x) itself.
class ProbabilisticPca : public testing::Test {
 protected:
  static constexpr int64_t features = 4, latent = 2;
  static constexpr double sigma = 0.5;

  void SetUp() override {
    ModelContext context;
    context.data = {.x = {features}, .kind = "tabular"};
    context.network.kind = "mlp";
    context.network.hidden = {};
    Noise init(Key(1));
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
    Noise noise(Key(2));
    batch_ = {noise.normal({3, features}), {}, torch::arange(3)};
  }

  torch::Tensor log_density() const {
    const torch::Tensor w = w_.to(torch::kFloat64);
    const torch::Tensor covariance = w.matmul(w.t()) + sigma * sigma * torch::eye(features, torch::kFloat64);
    const torch::Tensor r = (batch_.x - b_).to(torch::kFloat64);
    const torch::Tensor distance = (r.matmul(covariance.inverse()) * r).sum(1);
    return -0.5 * (distance + covariance.logdet() + features * std::log(2 * std::numbers::pi));
  }

  std::shared_ptr<Model> model_;
  torch::Tensor w_, b_, posterior_variance_;
  Batch batch_;
};

TEST_F(ProbabilisticPca, WithTheExactPosteriorEveryWeightIsTheLikelihood) {
  Noise noise(Key(3));
  const torch::Tensor weights = *model_->log_weights(batch_, 10, noise);
  for (int64_t draw = 0; draw < 10; ++draw)
    EXPECT_TRUE(torch::allclose(weights[draw].to(torch::kFloat64), log_density(), 0, 1e-4));
}

TEST_F(ProbabilisticPca, WithAnotherPosteriorTheBoundRisesToTheLikelihoodFromBelow) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model_->named_parameters())
    if (parameter.key().starts_with("encoder") && parameter.value().dim() == 1) parameter.value().add_(0.5);
  Noise noise(Key(4));
  const double exact = log_density().mean().item<double>();
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
