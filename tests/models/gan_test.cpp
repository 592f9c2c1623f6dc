#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>
#include <set>

#include "elbo/base/error.h"
#include "small_models.h"

namespace elbo {
namespace {

torch::Tensor loss_of(Model& model, const std::string& phase, const Batch& batch, uint64_t seed = 4) {
  RandomGenerator noise(Key{seed});
  return model.objective({phase, 0, 0}, batch, noise).loss;
}

TEST(Gan, EachPlayersGradientIsForItsOwnNetwork) {
  const auto model = small_model("gan", "image");
  const auto reached = [&](const std::string& phase) {
    model->zero_grad();
    loss_of(*model, phase, rows("image", 6)).sum().backward();
    std::set<std::string> modules;
    for (const auto& parameter : model->named_parameters())
      if (parameter.value().grad().defined())
        modules.insert(parameter.key().substr(0, parameter.key().find('.')));
    return modules;
  };
  // The generator's gradient passes through the discriminator, which its phase does not update.
  EXPECT_THAT(reached("generator"), testing::ElementsAre("decoder", "discriminator"));
  EXPECT_THAT(reached("discriminator"), testing::ElementsAre("discriminator"));
  EXPECT_THAT(reached("encoder"), testing::ElementsAre("encoder"));
}

TEST(Gan, RefusesALikelihoodWithoutADifferentiableMean) {
  for (const char* name : {"gan", "vae_gan"})
    for (const char* likelihood : {"discretized_logistic", "multinomial", "poisson"})
      EXPECT_THROW(small_model(name, "image", {{"model.likelihood", likelihood}}), Error)
          << name << likelihood;
}

// With its last layer at zero, the discriminator gives the probability 1/2: each loss is log 2.
TEST(Gan, AConstantDiscriminatorHasTheLossLogTwo) {
  const auto model = small_model("gan", "image");
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->named_parameters())
      if (parameter.key().starts_with("discriminator")) parameter.value().zero_();
  }
  EXPECT_TRUE(torch::allclose(loss_of(*model, "discriminator", rows("image", 6)),
                              torch::full({6}, 2 * std::numbers::ln2)));
  EXPECT_TRUE(
      torch::allclose(loss_of(*model, "generator", rows("image", 6)), torch::full({6}, std::numbers::ln2)));
}

// A linear generator x = Wz + b of z ~ N(0, I) gives N(b, WWᵀ): it must learn N(μ, Σ), the distribution of
// `samples`.
TEST(Gan, ALinearGeneratorLearnsAGaussian) {
  ModelContext context{.data = {.x = {2}, .kind = "tabular"}, .network = {}, .name = "gan"};
  context.network.kind = "mlp";
  context.network.hidden = {32, 32};
  context.network.activation = "leaky_relu";
  RandomGenerator init(Key(1)), noise(Key(2));
  const auto model = with_options("gan", {{"model.latent", "2"}})->build(context, init);
  const torch::Tensor mean = torch::tensor({1.0F, -2.0F});
  const torch::Tensor root = torch::tensor({{1.0F, 0.0F}, {0.6F, 0.5F}});
  const Batch batch{noise.normal({256, 2}).matmul(root.t()) + mean, {}, torch::arange(256)};
  learn(*model, batch, 600, 0.002);
  const torch::NoGradGuard no_grad;
  const torch::Tensor drawn = model->decode(model->prior_sample(4000, {}, noise), {});
  EXPECT_TRUE(torch::allclose(drawn.mean(0), mean, 0, 0.3)) << drawn.mean(0);
  EXPECT_TRUE(torch::allclose(torch::cov(drawn.t()), torch::cov(batch.x.t()), 0, 0.4))
      << torch::cov(drawn.t());
}

TEST(Gan, TheEncoderLearnsToInvertTheGenerator) {
  const auto model = small_model("gan", "tabular", {{"model.latent", "2"}});
  const auto error = [&] {
    const torch::NoGradGuard no_grad;
    RandomGenerator noise(Key(5));
    const torch::Tensor z = model->prior_sample(500, {}, noise);
    const Batch made{model->decode(z, {}), {}, torch::arange(500)};
    return (model->encode(made).z - z).square().sum(1).mean().item<double>();
  };
  EXPECT_GT(error(), 1);
  learn(*model, rows("tabular", 64), 400);
  EXPECT_LT(error(), 0.5);
}

TEST(Gan, RefusesALearnedScale) {
  try {
    small_model("gan", "tabular", {{"model.likelihood_variance", "learned"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("model.likelihood_variance=learned"));
  }
}

}  // namespace
}  // namespace elbo
