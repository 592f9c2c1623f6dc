#include <gmock/gmock.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <numbers>
#include <set>

#include "elbo/base/error.h"
#include "elbo/nn/planar_priors.h"
#include "small_models.h"

namespace elbo {
namespace {

std::string refusal(const std::string& data, const std::vector<Setting>& settings) {
  try {
    small_model("aae", data, settings);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

// Maximum mean discrepancy, squared, of two samples under a Gaussian kernel of width 1 (Gretton et al. 2012,
// eq. 5, with the diagonal).
double discrepancy(const torch::Tensor& a, const torch::Tensor& b) {
  const auto kernel = [](const torch::Tensor& x, const torch::Tensor& y) {
    return (-0.5 * torch::cdist(x, y).square()).exp().mean().item<double>();
  };
  return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b);
}

// The distance of codes from the prior before and after `steps` steps.
std::pair<double, double> before_and_after(const std::vector<Setting>& settings, int64_t steps) {
  const auto model = small_model("aae", "tabular", settings);
  const Batch batch = rows("tabular", 128);
  const auto measure = [&] {
    const torch::NoGradGuard no_grad;
    RandomGenerator noise(Key(9));
    const torch::Tensor z = model->encode(batch).z, prior = model->prior_sample(1000, {}, noise);
    return discrepancy(z, prior);
  };
  const double before = measure();
  learn(*model, batch, steps, 0.003);
  return {before, measure()};
}

TEST(Aae, CodesComeToFollowTheNormalPrior) {
  const auto [before, after] = before_and_after({{"model.latent", "2"}}, 250);
  EXPECT_GT(before, 0.05);
  EXPECT_LT(after, 0.2 * before);
}

TEST(Aae, CodesComeToFollowAMixture) {
  const auto [before, after] = before_and_after({{"model.latent", "2"}, {"model.prior", "mixture"}}, 250);
  EXPECT_GT(before, 0.05);
  EXPECT_LT(after, 0.2 * before);
}

TEST(Aae, WithLabelsAComponentCanBeSampled) {
  const torch::NoGradGuard no_grad;
  const auto model =
      small_model("aae", "labelled_image",
                  {{"model.latent", "2"}, {"model.prior", "mixture"}, {"model.use_labels", "true"}});
  EXPECT_TRUE(model->conditional());
  RandomGenerator noise(Key(1));
  const torch::Tensor label = torch::full({500}, 2, torch::kInt64);
  // The component of class 2 of 3 is at an angle of 4π/3 and a mean distance of 1.4
  // (src/elbo/nn/planar_priors.h).
  const torch::Tensor mean = model->prior_sample(500, label, noise).mean(0);
  EXPECT_NEAR(mean[0].item<double>(), 1.4 * std::cos(4 * std::numbers::pi / 3), 0.1);
  EXPECT_NEAR(mean[1].item<double>(), 1.4 * std::sin(4 * std::numbers::pi / 3), 0.1);
  EXPECT_LT(model->prior_sample(500, {}, noise).mean(0).norm().item<double>(), 0.3);
}

TEST(Aae, EachPhaseHasOnlyItsPartOfTheLoss) {
  const auto model = small_model("aae", "image");
  const Batch batch = rows("image", 6);
  const auto reached = [&](const std::string& phase) {
    RandomGenerator noise(Key(2));
    model->zero_grad();
    model->objective({phase, 0, 0}, batch, noise).loss.sum().backward();
    std::set<std::string> modules;
    for (const auto& parameter : model->named_parameters())
      if (parameter.value().grad().defined())
        modules.insert(parameter.key().substr(0, parameter.key().find('.')));
    return modules;
  };
  EXPECT_THAT(reached("reconstruction"), testing::ElementsAre("decoder", "encoder"));
  EXPECT_THAT(reached("discriminator"), testing::ElementsAre("discriminator"));
  EXPECT_THAT(reached("generator"), testing::ElementsAre("discriminator", "encoder"));
}

// With its last layer at zero, the discriminator gives the probability 1/2: each loss is log 2.
TEST(Aae, AConstantDiscriminatorHasTheLossLogTwo) {
  const auto model = small_model("aae", "image");
  {
    const torch::NoGradGuard no_grad;
    for (auto& parameter : model->named_parameters())
      if (parameter.key().starts_with("discriminator")) parameter.value().zero_();
  }
  RandomGenerator noise(Key(2));
  const auto loss = [&](const char* phase) {
    return model->objective({phase, 0, 0}, rows("image", 6), noise).loss;
  };
  EXPECT_TRUE(torch::allclose(loss("discriminator"), torch::full({6}, 2 * std::log(2.0))));
  EXPECT_TRUE(torch::allclose(loss("generator"), torch::full({6}, std::log(2.0))));
}

TEST(Aae, WithLabelsEachClassHasAComponent) {
  ModelContext context{.data = {.x = {6}, .kind = "tabular", .classes = 3}, .network = {}, .name = "aae"};
  context.network.hidden = {32};
  RandomGenerator init(Key(1));
  const auto model =
      with_options("aae", {{"model.latent", "2"}, {"model.prior", "mixture"}, {"model.use_labels", "true"}})
          ->build(context, init);
  // Rows are samples of the mixture, rotated by one component: rotating them back satisfies reconstruction
  // and labels.
  Batch batch = rows("tabular", 120);
  batch.label = batch.ids.remainder(3);
  batch.x.zero_();
  batch.x.narrow(1, 0, 2).copy_(gaussian_mixture((batch.label + 1).remainder(3), 3, init));
  learn(*model, batch, 1200, 0.002);
  const torch::NoGradGuard no_grad;
  const torch::Tensor z = model->encode(batch).z;
  for (int64_t label = 0; label < 3; ++label) {
    const torch::Tensor centre = z.index({batch.label == label}).mean(0);
    const double angle = 2 * std::numbers::pi * static_cast<double>(label) / 3;
    const double along =
        centre[0].item<double>() * std::cos(angle) + centre[1].item<double>() * std::sin(angle);
    EXPECT_NEAR(along, 1.4, 0.4) << label;
    EXPECT_NEAR(centre.norm().item<double>(), along, 0.2) << label;
  }
}

TEST(Aae, AGaussianEncoderSamplesItsCodes) {
  const auto model = small_model("aae", "image", {{"model.encoder", "gaussian"}});
  const Batch batch = rows("image", 6);
  EXPECT_TRUE(model->encode(batch).logvar.has_value());
  RandomGenerator one(Key(1)), other(Key(2));
  EXPECT_FALSE(torch::equal(model->evaluate(batch, one).loss, model->evaluate(batch, other).loss));
}

TEST(Aae, RefusesInvalidOptions) {
  EXPECT_THAT(refusal("image", {{"model.prior", "swiss_roll"}}), testing::HasSubstr("model.latent=2"));
  EXPECT_THAT(
      refusal("image", {{"model.latent", "2"}, {"model.prior", "mixture"}, {"model.use_labels", "true"}}),
      testing::HasSubstr("model.use_labels"));
  EXPECT_THAT(refusal("labelled_image", {{"model.use_labels", "true"}}),
              testing::HasSubstr("model.prior=normal"));
}

}  // namespace
}  // namespace elbo
