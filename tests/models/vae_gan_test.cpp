#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "elbo/base/error.h"
#include "small_models.h"

namespace elbo {
namespace {

LossTerms of_phase(Model& model, const std::string& phase) {
  RandomGenerator noise(Key(4));
  return model.objective({phase, 0, 0}, rows("image", 6), noise);
}

void silence_discriminator(Model& model) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : model.named_parameters())
    if (parameter.key().starts_with("discriminator")) parameter.value().zero_();
}

TEST(VaeGan, EachPhasesGradientComesFromItsLossesAlone) {
  const auto model = small_model("vae_gan", "image");
  const auto reached = [&](const std::string& phase) {
    model->zero_grad();
    of_phase(*model, phase).loss.sum().backward();
    std::set<std::string> modules;
    for (const auto& parameter : model->named_parameters())
      if (parameter.value().grad().defined())
        modules.insert(parameter.key().substr(0, parameter.key().find('.')));
    return modules;
  };
  EXPECT_THAT(reached("encoder"), testing::ElementsAre("decoder", "discriminator", "encoder"));
  EXPECT_THAT(reached("decoder"), testing::ElementsAre("decoder", "discriminator"));
  EXPECT_THAT(reached("discriminator"), testing::ElementsAre("discriminator"));
}

// A discriminator with zero weights has zero features and gives the probability 1/2.
TEST(VaeGan, WithAConstantDiscriminatorTheLossIsTheKlAndLogTwo) {
  const auto model = small_model("vae_gan", "image", {{"model.gamma", "7"}});
  silence_discriminator(*model);
  const torch::Tensor log_two = torch::full({6}, std::numbers::ln2);
  const LossTerms of_encoder = of_phase(*model, "encoder");
  EXPECT_TRUE(torch::equal(of_encoder.loss, part(of_encoder, "kl")));
  EXPECT_TRUE(torch::allclose(of_phase(*model, "decoder").loss, 2 * log_two));
  EXPECT_TRUE(torch::allclose(of_phase(*model, "discriminator").loss, 3 * log_two));
}

// Without hidden layers the discriminator's features are the rows, so the feature error is half the squared
// error of x: that of a VAE with a Gaussian likelihood, up to a constant.
TEST(VaeGan, WithRowsAsFeaturesTheEncoderMinimisesAGaussianVaesBound) {
  ModelContext context{.data = {.x = {5}, .kind = "tabular"}, .network = {}, .name = "vae_gan"};
  context.network.kind = "mlp";
  context.network.hidden = {};
  RandomGenerator init(Key(1)), draws(Key(2));
  const auto model =
      with_options("vae_gan", {{"model.latent", "2"}, {"model.feature_scale", "1"}})->build(context, init);
  const Batch batch{draws.normal({4, 5}), {}, torch::arange(4)};
  RandomGenerator one(Key(3)), two(Key(3));
  const double constant = 2.5 * std::log(2 * std::numbers::pi);
  EXPECT_TRUE(torch::allclose(model->objective({"encoder", 0, 0}, batch, one).loss + constant,
                              model->evaluate(batch, two).loss));
}

TEST(VaeGan, GammaWeighsTheErrorInFeatures) {
  const auto light = small_model("vae_gan", "image", {{"model.gamma", "0"}});
  const auto heavy = small_model("vae_gan", "image", {{"model.gamma", "3"}});
  const LossTerms verdict = of_phase(*light, "decoder"), both = of_phase(*heavy, "decoder");
  EXPECT_TRUE(torch::equal(verdict.loss, part(both, "generator")));
  // Both phases sample the codes first, so the error equals that of the encoder's phase.
  EXPECT_TRUE(torch::allclose(both.loss - part(both, "generator"),
                              3 * part(of_phase(*heavy, "encoder"), "features"), 1e-3, 1e-5));
}

TEST(VaeGan, RefusesALearnedScale) {
  try {
    small_model("vae_gan", "tabular", {{"model.likelihood_variance", "predicted"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("model.likelihood_variance=predicted"));
  }
}

}  // namespace
}  // namespace elbo
